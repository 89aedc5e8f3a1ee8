"""Tokens in an engine step -> seconds: a roofline of one model on some GPUs.

    total = (weights^3 + matrix^3)^(1/3) + attention + KV read + all-reduces + overhead

Reading weights and multiplying overlap inside a kernel, so the slower of the two decides, with a
rounded corner. Attention, all-reduces and the host's work run one after the other and add up.
This is a prior: the running gateway and `sluice calibrate` correct it (`step_fit`).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from admission.planning.all_reduce import ELEMENT_BYTES, AllReduce
from admission.planning.gpus import Link, Speeds
from admission.speed.step import StepContents, StepTime

# Share of the data sheet's bandwidth that decoding reaches. Fitted, together with the overhead, to
# two models on an A10: Qwen3-8B-AWQ 14.0 ms and Qwen2.5-1.5B 8.7 ms a token.
BANDWIDTH_RATIO = 0.85
# Share of the data sheet's FP16 rate in large products: 231 of 312 TFLOP/s, the FP16 side of the
# Marlin sweep in vllm#2497 (card not named; an A100 by its rates). INT8 and native FP8 are assumed
# to reach the same share.
COMPUTE_RATIO = 0.74
# The share for weights that are widened in registers first (Marlin: INT4, FP8 on Ampere). Fitted to
# a 7,000-token prompt of Qwen3-8B-AWQ on an A10 in 1.405 s. In vllm#2497 the first Marlin kernel
# reached 0.45; FP16 was 0.61 to 1 of its time from 128 tokens on.
WIDENED_COMPUTE_RATIO = 0.66
# Exponent of the corner between reading and multiplying. vllm#2497's sweep of a Marlin kernel over
# 16, 32, 64, 128 tokens lies within 3 % of 3; at 32 tokens plain max is 21 % low, a sum 55 % high.
CORNER = 3.0
# INT4 with groups of 128: half a byte, an FP16 scale and an INT4 zero point in every group.
INT4_BYTES = 0.5 + 2.5 / 128
# Host time between two steps while the GPU waits, with CUDA graphs (fitted, see above).
STEP_OVERHEAD_S = 2.3e-3
# Sampling, detokenising and answering for one more sequence. Fitted to 32 at a time: Qwen2.5-14B
# INT4 on a 4090 and Qwen3-32B on two RTX PRO 6000. Step times alone suggest less, but a prior that
# is 15 % too slow costs less goodput than one that is 10 % too fast.
SEQUENCE_OVERHEAD_S = 0.1e-3
# Without CUDA graphs the host launches every kernel of a layer; if that is slower, the GPU waits.
EAGER_LAYER_S = 0.4e-3  # assumed
_REMEMBERED = 4096  # pairs of tokens and rows: a long run has a few hundred
SHARE_OF_GATHER = 0.5  # an all-gather moves half of what an all-reduce of the same result does


class Weights(StrEnum):
    """How linear layers are stored. The output head stays in 16 bits, as in AWQ and GPTQ."""

    BITS_16 = "16bit"
    INT8 = "int8"  # W8A8: INT8 arithmetic
    FP8 = "fp8"
    INT4 = "int4"  # AWQ or GPTQ, groups of 128, by Marlin


@dataclass(frozen=True, slots=True)
class ComputeShape:
    """The parts of a model's config.json that decide its speed; heads and widths before any split.

    With experts, `intermediate` is the width of one. `kv_layers` counts the layers that keep a KV
    cache, for models that also have linear attention; None = all.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocab: int
    experts: int = 0
    experts_per_token: int = 0
    kv_layers: int | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One engine: a model on `tensor_parallel` x `pipeline_parallel` GPUs of one kind.

    `link` overrides the GPU's own.
    """

    shape: ComputeShape
    gpu: Speeds
    weights: Weights = Weights.BITS_16
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    kv_element_bytes: float = 2
    cuda_graphs: bool = True
    link: Link | None = None


class StepModel:
    """Step times of one deployment; construction does the work, a call takes microseconds."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.stages = deployment.pipeline_parallel
        shape, gpu, ranks = deployment.shape, deployment.gpu, deployment.tensor_parallel
        bandwidth = gpu.bandwidth_bytes_per_s * BANDWIDTH_RATIO
        per_weight, flop_per_s = _arithmetic(deployment.weights, gpu)
        attention, mlp = _layer_weights(shape, ranks)
        self._attention_read_s = shape.layers * attention * per_weight / bandwidth
        self._mlp_read_s = shape.layers * mlp * per_weight / bandwidth
        active = mlp * max(1, shape.experts_per_token)
        self._token_s = 2 * shape.layers * (attention + active) / flop_per_s
        head = shape.vocab * shape.hidden / ranks
        self._head_read_s = head * ELEMENT_BYTES / bandwidth
        self._head_sequence_s = 2 * head / (gpu.flop_per_s * COMPUTE_RATIO)
        kv_layers = shape.layers if shape.kv_layers is None else shape.kv_layers
        self.kv_bytes_per_token = (
            kv_layers * 2 * _kv_heads(shape, ranks) * shape.head_size * deployment.kv_element_bytes
        )
        self._context_s = self.kv_bytes_per_token / bandwidth
        # 4 x head size flop per head and pair of tokens
        pair_flop = 4 * kv_layers * shape.head_size * shape.heads / ranks
        self._pair_s = pair_flop / (gpu.flop_per_s * COMPUTE_RATIO)
        link = deployment.link or gpu.link
        self._all_reduce = AllReduce(link, ranks)
        self._stage = AllReduce(link, 2 if deployment.pipeline_parallel > 1 else 1)
        self._launch_s = 0.0 if deployment.cuda_graphs else shape.layers * EAGER_LAYER_S
        # consecutive steps differ only in their context
        self._by_tokens = lru_cache(_REMEMBERED)(self._without_context)

    def step(self, contents: StepContents) -> StepTime:
        """Seconds of a step by part; an empty step costs its overhead."""
        tokens = contents.decode_sequences + contents.prefill_tokens
        if tokens == 0:
            return StepTime(0.0, 0.0, 0.0, 0.0, STEP_OVERHEAD_S, STEP_OVERHEAD_S)
        chunks = contents.prefill_chunks if contents.prefill_tokens else 0
        # a chunk that does not end its prompt samples nothing, but counts: it is only one row
        sampled = contents.decode_sequences + chunks
        weights_s, products_s, all_reduce_s = self._by_tokens(tokens, sampled)
        compute_s = products_s + self._prompt_attention(contents)
        context = contents.decode_context_tokens + contents.prefill_context_tokens
        kv_s = context * self._context_s
        busy_s = weights_s + compute_s + kv_s + all_reduce_s
        host_s = STEP_OVERHEAD_S + sampled * SEQUENCE_OVERHEAD_S
        overhead_s = host_s + max(0.0, self._launch_s - busy_s)
        return StepTime(weights_s, kv_s, compute_s, all_reduce_s, overhead_s, busy_s + overhead_s)

    def _without_context(self, tokens: int, sampled: int) -> tuple[float, float, float]:
        """The parts that depend only on the counts: weights read, further products, all-reduces."""
        weights_s = self._attention_read_s + self._mlp_read(tokens) + self._head_read_s
        matrix_s = tokens * self._token_s + sampled * self._head_sequence_s
        rounded: float = (weights_s**CORNER + matrix_s**CORNER) ** (1 / CORNER)
        return weights_s, rounded - weights_s, self._between_gpus(tokens, sampled)

    def _mlp_read(self, tokens: int) -> float:
        """Seconds to read the MLPs, or the experts that at least one token chose.

        Assumed: tokens choose independently and evenly, so 1 - (1 - k/E)^tokens of E are read.
        """
        shape = self.deployment.shape
        if not shape.experts:
            return self._mlp_read_s
        untouched: float = (1 - shape.experts_per_token / shape.experts) ** tokens
        return self._mlp_read_s * shape.experts * (1 - untouched)

    def _prompt_attention(self, contents: StepContents) -> float:
        """A chunk of c tokens after p attends to c (p + c / 2) pairs."""
        if not contents.prefill_tokens:
            return 0.0
        seen = contents.prefill_context_tokens + contents.prefill_tokens / 2
        return contents.prefill_tokens / contents.prefill_chunks * seen * self._pair_s

    def _between_gpus(self, tokens: int, sampled: int) -> float:
        """Seconds of two all-reduces a layer, the logits' all-gather, transfers between stages."""
        shape, all_reduce = self.deployment.shape, self._all_reduce
        activations = tokens * shape.hidden * ELEMENT_BYTES
        logits = sampled * shape.vocab * ELEMENT_BYTES
        return (
            2 * shape.layers * all_reduce.seconds(activations)
            + SHARE_OF_GATHER * all_reduce.seconds(logits)
            + (self.deployment.pipeline_parallel - 1) * self._stage.seconds(activations)
        )


def _arithmetic(weights: Weights, gpu: Speeds) -> tuple[float, float]:
    """Bytes of one weight, and the flop/s that products with such weights reach."""
    full = gpu.flop_per_s * COMPUTE_RATIO
    widened = gpu.flop_per_s * WIDENED_COMPUTE_RATIO
    return {
        Weights.BITS_16: (2.0, full),
        Weights.INT8: (1.0, full * gpu.eight_bit_ratio),
        Weights.FP8: (1.0, full * gpu.eight_bit_ratio if gpu.native_fp8 else widened),
        Weights.INT4: (INT4_BYTES, widened),
    }[weights]


def _kv_heads(shape: ComputeShape, ranks: int) -> int:
    """KV heads of one rank; with more ranks than heads they are replicated."""
    return -(-shape.kv_heads // ranks)


def _layer_weights(shape: ComputeShape, ranks: int) -> tuple[float, float]:
    """Weights of one layer on one rank: attention, and the gated MLP (that of one expert)."""
    queries = 2 * shape.hidden * shape.heads * shape.head_size / ranks
    keys = 2 * shape.hidden * _kv_heads(shape, ranks) * shape.head_size
    return queries + keys, 3 * shape.hidden * shape.intermediate / ranks
