"""Where vLLM's handlers ask for admission: after rendering, before any byte of the answer.

Each serving object's render method is wrapped on the instance. The wrapper sees the exact prompt
tokens, works out the request's shape, and waits for the gate; a refusal is left on the visit, and
vLLM is handed an error that the edge replaces by ours.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from starlette.datastructures import State
from vllm.entrypoints.serve.utils.api_utils import get_max_tokens
from vllm.platforms import current_platform

from admission.decision import Reason, Rejected
from admission.footprint import PromptShape, RequestShape
from serve.visit import VISIT, Visit


class Doorkeeper(Protocol):
    """What the hooks ask of the gate."""

    def rendering(self, visit: Visit) -> AbstractAsyncContextManager[bool]:
        """One of the few places to render in; False when the deadline passed while waiting."""

    async def admit(self, visit: Visit, shape: RequestShape) -> bool:
        """Wait for a lease; False when refused (the verdict is on the visit)."""

    def refuse(self, visit: Visit, refusal: Rejected) -> None:
        """Put a verdict on the visit and count it."""


_BEAMS = Rejected(
    Reason.UNSUPPORTED,
    "Beam search is not priced: its beams share and copy cache blocks. Use n instead.",
    param="use_beam_search",
)
_SEED = Rejected(
    Reason.UNSUPPORTED,
    "vLLM's CPU build stops as a whole when a seeded prompt is computed in pieces. Leave seed out, "
    "or use temperature 0.",
    param="seed",
)


def install(state: State, keeper: Doorkeeper) -> None:
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
    keeper: Doorkeeper,
) -> Callable[..., Awaitable[Any]]:
    def refused() -> Any:
        return serving.create_error_response("refused by admission")

    async def render_and_admit(request: Any, *args: Any, **kwargs: Any) -> Any:
        visit = VISIT.get()
        if visit is None or visit.lease_id is not None:
            return await render(request, *args, **kwargs)  # explain, or a later turn of a lease
        unsupported = _unsupported(serving, request)
        if unsupported:
            keeper.refuse(visit, unsupported)
            return refused()
        async with keeper.rendering(visit) as in_time:
            if not in_time:
                return refused()
            rendered = await render(request, *args, **kwargs)
        if is_error(rendered):
            return rendered
        shape = shape_of(serving, request, prompts_of(rendered))
        if shape is None:
            return rendered  # vLLM's own checks refuse it next, with its own words
        return rendered if await keeper.admit(visit, shape) else refused()

    # the plain method stays within reach, for prices without a run
    render_and_admit.plain = render  # type: ignore[attr-defined]
    render_and_admit.prompts_of = prompts_of  # type: ignore[attr-defined]
    return render_and_admit


def _unsupported(serving: Any, request: Any) -> Rejected | None:
    """What would be unpriced or would end the engine for everybody."""
    if getattr(request, "use_beam_search", False):
        return _BEAMS
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


def shape_of(serving: Any, request: Any, prompts: list[Any]) -> RequestShape | None:
    """What the engine will be asked for; None when vLLM itself will refuse the parameters."""
    try:
        shapes = tuple(_prompt_shape(serving, request, prompt) for prompt in prompts)
        longest = max(shape.max_tokens for shape in shapes)
        params = request.to_sampling_params(longest, serving.default_sampling_params)
    except Exception:  # noqa: BLE001  # vLLM repeats the same call and words the error itself
        return None
    return RequestShape(
        prompts=shapes,
        sequences=params.n,
        min_tokens=params.min_tokens,
        ignore_eos=params.ignore_eos,
        prompt_logprobs=params.prompt_logprobs is not None,
        front_end_stops=bool(params.stop),
    )


def _prompt_shape(serving: Any, request: Any, prompt: Any) -> PromptShape:
    tokens = serving._extract_prompt_len(prompt)  # noqa: SLF001 - no public count exists
    limit = get_max_tokens(
        serving.model_config.max_model_len,
        _requested_max_tokens(request),
        tokens,
        serving.default_sampling_params,
        serving.override_max_tokens,
        truncate_prompt_tokens=_truncation(request),
    )
    return PromptShape(prompt_tokens=tokens, max_tokens=max(1, limit))


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
