"""Hooks by which vLLM's handlers ask for admission: after rendering, before the answer.

Each serving object's render method is wrapped on the instance. The wrapper sees the exact prompt
tokens, computes the request's shape, and waits for the gate. A refusal is stored on the visit, and
vLLM gets an error that the edge replaces by ours.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from starlette.datastructures import State
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest, ResponsesResponse
from vllm.entrypoints.serve.utils.api_utils import get_max_tokens
from vllm.exceptions import VLLMError, VLLMValidationError
from vllm.platforms import current_platform

from admission.price.footprint import PromptShape, RequestShape
from admission.price.prefixes import PrefixHashes
from admission.terms import refusals
from admission.terms.decision import Rejected
from serve.engine.client import Keeper
from serve.engine.grammars import first_line
from serve.visit import VISIT

_T = TypeVar("_T")
_PANIC = (
    "PanicException"  # of Rust code, e.g. a tokenizer's: no Exception, and its class is nowhere
)
_log = logging.getLogger("sluice.engine")


_NO_LOGPROBS = refusals.unsupported(
    "The simulated engine has no logprobs: it computes no probabilities.",
    param="logprobs",
)
_PENALTIES = 0.01, 100.0
_PENALTY = refusals.unsupported(
    "repetition_penalty must lie between {:g} and {:g}: beyond, a token's score is lost in single "
    "precision.".format(*_PENALTIES),
    param="repetition_penalty",
)
_SEED = refusals.unsupported(
    "vLLM's CPU build stops as a whole when a seeded prompt is computed in pieces. Leave seed out, "
    "or use temperature 0.",
    param="seed",
)


def install(state: State, keeper: Keeper) -> None:
    """Wrap the four serving objects of vLLM's app state."""
    for serving, method, prompts_of in (
        (state.openai_serving_chat, "render_chat_request", _chat_prompts),
        (state.anthropic_serving_messages, "render_chat_request", _chat_prompts),
        (state.openai_serving_completion, "render_completion_request", list),
        (state.openai_serving_responses, "_render_resolved_response_inputs", _responses_prompts),
    ):
        setattr(serving, method, _gated(serving, getattr(serving, method), prompts_of, keeper))


def _chat_prompts(rendered: tuple[Any, list[Any]]) -> list[Any]:
    return rendered[1]


def _responses_prompts(rendered: Any) -> list[Any]:
    return [rendered.engine_input]


def _gated(
    serving: Any,
    render: Callable[..., Awaitable[Any]],
    prompts_of: Callable[[Any], list[Any]],
    keeper: Keeper,
) -> Callable[..., Awaitable[Any]]:
    def refused() -> Any:
        return serving.create_error_response("refused by admission")

    async def render_and_admit(request: Any, *args: Any, **kwargs: Any) -> Any:
        visit = VISIT.get()
        if visit is None or visit.lease_id is not None:
            return await render(request, *args, **kwargs)  # explain, or a later turn of a lease
        refusal = unsupported(serving, request)
        if refusal:
            keeper.refuse(visit, refusal)
            return refused()
        rendered = await _by_vllm(render(request, *args, **kwargs))
        if is_error(rendered):
            return rendered
        try:
            waits = partial(keeper.rendered, visit)
            shape = await shape_of(serving, request, prompts_of(rendered), waits=waits)
        except UnsupportedError as fault:
            keeper.refuse(visit, fault.refusal)
            return refused()
        return rendered if await keeper.admit(visit, shape) else refused()

    # the plain method, for prices without a run
    render_and_admit.plain = render  # type: ignore[attr-defined]
    render_and_admit.prompts_of = prompts_of  # type: ignore[attr-defined]
    return render_and_admit


def unsupported(serving: Any, request: Any) -> Rejected | None:
    """Refuses what has no price or would end the engine for all requests."""
    if getattr(request, "use_beam_search", False):
        return refusals.beam_search()
    # the CPU sampler rewinds a generator that has no offset (vLLM 0.32, _bookkeeping_sync)
    seeded = getattr(request, "seed", None) is not None and request.temperature != 0
    if seeded and current_platform.is_cpu() and _computes_in_pieces(serving):
        return _SEED
    return None


def _computes_in_pieces(serving: Any) -> bool:
    return bool(serving.engine_client.vllm_config.scheduler_config.enable_chunked_prefill)


def is_error(rendered: Any) -> bool:
    """Whether a render method answered with vLLM's ErrorResponse."""
    return hasattr(rendered, "error")


class UnsupportedError(Exception):
    """An unsupported request, as found in its sampling parameters."""

    def __init__(self, refusal: Rejected) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


async def shape_of(
    serving: Any, request: Any, prompts: list[Any], *, waits: Callable[[], None]
) -> RequestShape:
    """What the engine will be asked for; calls `waits` before it waits for a form to be compiled.

    Raises UnsupportedError, and VLLMError for what vLLM will not run.
    """
    sizes = [serving._extract_prompt_len(prompt) for prompt in prompts]  # noqa: SLF001 - no other
    limits = [_answer_limit(serving, request, prompt_tokens) for prompt_tokens in sizes]
    params, checked = await _by_vllm(_checked(serving, request, max(limits), prompts, waits))
    hashes = [_prefix_hashes(serving, request, each) for each in checked]
    return RequestShape(
        # an echo without an answer still computes one token
        prompts=tuple(map(PromptShape, sizes, (max(1, limit) for limit in limits), hashes)),
        sequences=params.n,
        min_tokens=params.min_tokens,
        ignore_eos=params.ignore_eos,
        prompt_logprobs=params.prompt_logprobs is not None,
        front_end_stops=bool(params.stop),
    )


async def _by_vllm(looks: Awaitable[_T]) -> _T:
    """What vLLM makes of a request that has not run.

    Its checks may raise anything on unexpected values. The cause is the request, so it becomes
    VLLMValidationError, a 400. Our own mistakes and a lack of memory are passed on.
    """
    try:
        return await looks
    except (VLLMError, UnsupportedError, MemoryError):
        raise
    except (ValueError, TypeError) as fault:  # mostly messages meant for the caller
        raise VLLMValidationError(first_line(fault)) from fault
    except BaseException as fault:
        if not isinstance(fault, Exception) and type(fault).__name__ != _PANIC:
            raise
        _log.warning("vLLM cannot take request %s", _request_id(), exc_info=fault)
        raise VLLMValidationError(first_line(fault)) from fault


def _request_id() -> str:
    visit = VISIT.get()
    return "that is explained" if visit is None else visit.request_id


async def _checked(
    serving: Any, request: Any, limit: int, prompts: list[Any], waits: Callable[[], None]
) -> tuple[Any, list[Any]]:
    """The sampling parameters, and what the engine would be sent for each prompt.

    vLLM itself checks when generation starts: of a stream after its 200, and whether a response can
    be serialised only at its end.
    """
    client = serving.engine_client
    params = request.to_sampling_params(limit, serving.default_sampling_params)
    if not client.logprobs and _wants_logprobs(params):
        raise UnsupportedError(_NO_LOGPROBS)
    if not _PENALTIES[0] <= params.repetition_penalty <= _PENALTIES[1]:
        raise UnsupportedError(_PENALTY)
    if isinstance(request, ResponsesRequest):
        _can_be_told(request, params)

    def look() -> list[Any]:
        process = client.input_processor.process_inputs
        return [process("", prompt, params, ("generate",)) for prompt in prompts]

    if params.structured_outputs is None:
        return params, look()
    waits()
    return params, await client.grammars.checked(params, look)


def _wants_logprobs(params: Any) -> bool:
    wanted = (params.num_logprobs, params.prompt_logprobs, params.prompt_logprob_token_ids)
    return any(value is not None for value in wanted)


def _can_be_told(request: ResponsesRequest, params: Any) -> None:
    """Raises what the answer would raise, which repeats what was asked."""
    answer = ResponsesResponse.from_request(
        request, params, model_name="", created_time=0, output=[], status="in_progress"
    )
    answer.model_dump_json(by_alias=True)


def _prefix_hashes(serving: Any, request: Any, checked: Any) -> PrefixHashes:
    """By what vLLM tells blocks apart; images and embeddings are left out.

    Prompt logprobs need the whole prompt computed: such a request reads nothing from the cache.
    """
    hasher = serving.engine_client.hasher
    apart = checked.mm_features or checked.prompt_embeds is not None
    if hasher is None or apart or checked.sampling_params.skip_reading_prefix_cache:
        return ()
    salt, model = checked.cache_salt, str(request.model or "")
    hashes: PrefixHashes = hasher.of(checked.prompt_token_ids, model=model, salt=salt)
    return hashes


def _answer_limit(serving: Any, request: Any, prompt_tokens: int) -> int:
    """The most tokens of the completion, as vLLM's handlers compute it."""
    limit: int = get_max_tokens(
        serving.model_config.max_model_len,
        _requested_max_tokens(request),
        prompt_tokens,
        serving.default_sampling_params,
        serving.override_max_tokens,
        truncate_prompt_tokens=_truncation(request),
    )
    return limit


def _requested_max_tokens(request: Any) -> int | None:
    """The route's own name for it; chat has an old and a new one."""
    for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"):
        value: int | None = getattr(request, name, None)
        if value is not None:
            return value
    return None


def _truncation(request: Any) -> int | None:
    truncation = getattr(request, "truncation", None)  # Responses API: "auto" | "disabled"
    if truncation is not None:
        return -1 if truncation != "disabled" else None
    value: int | None = getattr(request, "truncate_prompt_tokens", None)
    return value
