"""The board of one engine, read from its controller."""

from admission.controller import Controller
from admission.fleet.board import PROMPT_SIZES, Board
from admission.price.footprint import PromptShape, RequestShape
from admission.price.offer import Offer
from admission.price.prefixes import chunk_tokens
from admission.terms.decision import Priority

_USUAL_OUTPUT_TOKENS = 2048  # the limit of a request about which nothing else is known


def read_board(controller: Controller, now_s: float) -> Board:
    """What the engine would promise now."""
    engine, snapshot = controller.engine, controller.snapshot()
    occupancy = snapshot.occupancy
    return Board(
        at_s=now_s,
        open=not controller.closed,
        capacity_tokens=engine.capacity_tokens,
        max_model_len=engine.max_model_len,
        ttft_s=tuple(
            controller.predicted_ttft_s(_newcomer(controller, tokens, now_s), now_s)
            for tokens in PROMPT_SIZES
        ),
        prefill_token_s=controller.speed.prefill_s(1),
        requests=occupancy.leases + occupancy.queue_requests,
        backlog_tokens=occupancy.prefill_backlog_tokens + controller.queue.load.prefill_tokens,
        held_ratio=occupancy.held_blocks / engine.usable_blocks,
        peak_ratio=occupancy.projected_peak_blocks / max(1, snapshot.limits.promised_blocks),
        chunk_tokens=chunk_tokens(engine.block_tokens),
        prefixes=controller.prefixes.names(),
    )


def _newcomer(controller: Controller, tokens: int, now_s: float) -> Offer:
    """A prompt of which nothing is cached, with the usual deadline."""
    room = controller.engine.max_model_len - tokens
    prompt = PromptShape(tokens, max(1, min(_USUAL_OUTPUT_TOKENS, room)))
    due_at_s = now_s + controller.settings.ttft_deadline_s
    return Offer("", Priority.NORMAL, RequestShape((prompt,)), now_s, due_at_s)
