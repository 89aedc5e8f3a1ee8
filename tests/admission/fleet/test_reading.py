"""A board is what the controller itself would decide by."""

import random

import pytest

from admission.controller import Controller
from admission.fleet.reading import read_board
from admission.price.footprint import PromptShape, RequestShape
from admission.price.offer import Offer
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Rejected
from tests.admission.examples import ENGINE, EXACT, accepted, offer, shape

LINE = StepCoefficients(
    fixed_s=0.02, prefill_token_s=0.001, decode_sequence_s=0.001, context_token_s=1e-6
)


def controller() -> Controller:
    made = Controller(ENGINE, EXACT)
    made.know_step_times(LINE)
    return made


def test_an_idle_engine_holds_nothing_and_promises_the_time_of_a_prompt() -> None:
    board = read_board(controller(), 3.0)
    assert (board.at_s, board.open, board.requests, board.held_ratio) == (3.0, True, 0, 0.0)
    assert board.ttft_s[0] == pytest.approx(0.128, abs=0.05)
    assert list(board.ttft_s) == sorted(board.ttft_s)


def test_who_runs_and_who_waits_is_counted() -> None:
    busy = controller()
    for _ in range(6):
        busy.offer(offer(), 0.0)
    board = read_board(busy, 0.0)
    assert board.requests == 6
    assert board.backlog_tokens == 6 * 160
    assert 0 == board.held_ratio < board.peak_ratio <= 1  # nothing is computed yet
    assert board.ttft_s[0] > read_board(controller(), 0.0).ttft_s[0]


def test_a_draining_or_broken_engine_is_closed() -> None:
    for name in ("draining", "engine_down"):
        closed = controller()
        setattr(closed, name, True)
        assert not read_board(closed, 0.0).open


def test_cached_chunks_are_named_while_held_and_after() -> None:
    caching = controller()
    prompt = RequestShape((PromptShape(300, 20, (1, 2)),), ignore_eos=True)
    lease = accepted(caching.offer(offer(prompt), 0.0))
    assert read_board(caching, 0.0).prefixes == {1, 2}
    caching.release(lease, 0.0, in_engine=False)
    assert read_board(caching, 0.0).prefixes <= {1, 2}


@pytest.mark.parametrize("seed", range(40))
def test_what_is_predicted_is_what_is_decided_by(seed: int) -> None:
    rng = random.Random(seed)
    busy = controller()
    for _ in range(rng.randrange(1, 9)):
        busy.offer(_some(rng), 0.0)
    asked = _some(rng)
    late = busy.predicted_ttft_s(asked, 0.0) > asked.deadline_at_s
    decision = busy.judge(asked, busy.quote(asked), 0.0)
    assert isinstance(decision, Rejected) is late


def _some(rng: random.Random) -> Offer:
    asked = shape(rng.randrange(1, 600), rng.randrange(1, 300))
    return offer(asked, patience_s=rng.choice([0.5, 2.0, 20.0]))
