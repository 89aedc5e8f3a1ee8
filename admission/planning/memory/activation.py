"""The activation peak: memory that the largest step needs in addition to weights and KV."""

from dataclasses import dataclass

from admission.planning.memory.engine.arguments import Resolved
from admission.planning.memory.engine.runner import is_runner_v2
from admission.planning.memory.engine.versions import Version
from admission.planning.memory.estimate import GIB, NOTHING, Estimate
from admission.planning.memory.model.formats import dtype_bytes
from admission.planning.memory.model.model_shape import Dense, Experts, Layer, ModelShape

_LOGIT_BYTES = 2  # one logit in the model's dtype; the samplers' figures include it
_FIT_BYTES = 0.05 * GIB  # residual of the fits: mean 0.025 GiB; 0.05 covers nine in ten


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes of the activation peak on the inner pipeline stages, and on the last, which samples."""

    inner: Estimate
    last: Estimate


def activation_peak(model: ModelShape, engine: Resolved) -> Peak:
    """max(forward, sampler + experts' workspace); T = max_num_batched_tokens, N = sequences.

    forward = T x (6 I / TP + 8.4 H), for experts T x (2 top-k (3 I / TP + H) + 8.4 H);
    sampler = 2 T H + c N V, where c depends on the release (`sampler_bytes`). Pipeline stages add
    4 T H. From 0.25.1 a cold compile cache adds 1 GiB to the forward pass: three of four logs show
    it, so the expected value includes it and the low end does not. A 32-bit dtype doubles the
    forward pass. Source: fits to 53 logs of dense models (mean error 0.025 GiB) and 10 of experts.
    """
    scale = dtype_bytes(engine.given.dtype) / _LOGIT_BYTES
    tokens, constants = engine.max_batched_tokens, engine.constants
    received = constants.received * tokens * model.hidden * (engine.pp > 1) * scale
    forward = max(_forward_bytes(layer, model.hidden, engine) for layer in model.layers) * scale
    inner = Estimate.around(forward + received, below=_FIT_BYTES, above=_FIT_BYTES)
    inner = inner + _cold_cache(model, engine)
    kept = max(_workspace_bytes(layer, model.hidden, engine) for layer in model.layers)
    logits = engine.max_sequences * model.vocabulary
    base = 2 * scale * tokens * model.hidden + received + kept
    low, expected, high = (
        base + (c + _LOGIT_BYTES * (scale - 1)) * logits for c in sampler_bytes(model, engine)
    )
    last = Estimate(
        max(inner.low, low - _FIT_BYTES),
        max(inner.expected, expected),
        max(inner.high, high + _FIT_BYTES),
    )
    return Peak(inner, last)


def sampler_bytes(model: ModelShape, engine: Resolved) -> tuple[float, float, float]:
    """Bytes per logit in the warm-up's sampler: low, expected, high.

    V1 up to 0.10 sorts unless FlashInfer is installed. vLLM's container includes FlashInfer. Logs
    show both (0.10.1.1 without the sort, 0.9.2 with it), so the range spans them.
    """
    version, known = engine.version, engine.constants
    if engine.engine_v0 or Version(11, 0) <= version < Version(17, 0):
        return (known.sorting_sampler,) * 3
    if version < Version(11, 0):
        return known.plain_logits, known.flashinfer_sampler, known.sorting_sampler
    if version >= Version(33, 0):
        return known.plain_logits, known.fp32_logits, known.fp32_logits
    if is_runner_v2(model, engine):
        return known.plain_logits, known.plain_logits, known.fp32_logits
    return (known.triton_sampler,) * 3


def _forward_bytes(layer: Layer, hidden: int, engine: Resolved) -> float:
    mlp, tokens = layer.mlp, engine.max_batched_tokens
    if isinstance(mlp, Dense):
        columns = engine.constants.column * mlp.intermediate / engine.tp
    else:
        columns = 2.0 * mlp.per_token * (3 * mlp.intermediate / engine.tp + hidden)
    return tokens * (columns + engine.constants.hidden * hidden)


def _workspace_bytes(layer: Layer, hidden: int, engine: Resolved) -> float:
    """Bytes of the experts' buffers that stay allocated while the sampler runs.

    2 T top-k x (max(2 I / TP, H) + max(I / TP, H)): the two buffers of the fused kernels. All logs
    of 0.19 show them, except gpt-oss: MXFP4 kernels keep none. 0.11 does not show them. First
    release 0.12 [assumed].
    """
    mlp = layer.mlp
    kept = isinstance(mlp, Experts) and engine.version >= Version(12, 0)
    if not kept or engine.given.quantization == "mxfp4":
        return 0.0
    assert isinstance(mlp, Experts)  # noqa: S101 -- for the type checker: `kept` says so
    wide = mlp.intermediate / engine.tp
    widths = max(2 * wide, hidden) + max(wide, hidden)
    return 2.0 * engine.max_batched_tokens * mlp.per_token * widths


def _cold_cache(model: ModelShape, engine: Resolved) -> Estimate:
    """0 to 1 GiB, 1 expected, with runner V2; with V1 the sampler's peak hides it."""
    if engine.given.enforce_eager or not is_runner_v2(model, engine):
        return NOTHING
    cold = engine.constants.cold_cache_gib * GIB
    return Estimate(0.0, cold, cold)
