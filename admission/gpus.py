"""What a GPU can do at best: memory bandwidth, tensor-core arithmetic, the link to its peers."""

from dataclasses import dataclass
from enum import StrEnum


class Link(StrEnum):
    """How the GPUs of one server reach each other; each has its table in `all_reduce`."""

    PCIE4 = "pcie4"  # through the host bridge, as measured on a server with L40S
    PCIE4_P2P = "pcie4_p2p"  # behind one switch: what a well-wired server might reach, assumed
    PCIE5 = "pcie5"
    NVLINK = "nvlink"


@dataclass(frozen=True, slots=True)
class GpuSpeeds:
    """Peak rates by the data sheet; what is reached of them is `step_time`'s business.

    `flop_per_s` is dense FP16/BF16 on tensor cores with FP32 sums (on GeForce half the advertised
    rate). `eight_bit_ratio` is the gain of INT8 arithmetic over it, `native_fp8` whether FP8 has
    it too (else FP8 weights are widened to 16 bit before they are multiplied).
    """

    bandwidth_bytes_per_s: float
    flop_per_s: float
    link: Link
    eight_bit_ratio: float = 2.0
    native_fp8: bool = False


def _gpu(
    gb_per_s: float, tflop_per_s: float, link: Link = Link.PCIE4, *, native_fp8: bool = False
) -> GpuSpeeds:
    return GpuSpeeds(gb_per_s * 1e9, tflop_per_s * 1e12, link, native_fp8=native_fp8)


# NVIDIA's data sheets and architecture papers.
# Only the L40S and the RTX PRO 6000 have measured links: every other PCIe card, the A10 too, takes
# the table of its generation (assumed).
GPU_SPEEDS = {
    "A10": _gpu(600, 125),
    "A10G": _gpu(600, 70),
    "A30": _gpu(933, 165),
    "A40": _gpu(696, 149.7),
    "A100-40GB": _gpu(1555, 312, Link.NVLINK),
    "A100-80GB": _gpu(2039, 312, Link.NVLINK),
    "A100-80GB-PCIe": _gpu(1935, 312),
    "B200": _gpu(8000, 2250, Link.NVLINK, native_fp8=True),
    "H100-80GB": _gpu(3350, 989, Link.NVLINK, native_fp8=True),
    "H100-80GB-PCIe": _gpu(2000, 756, Link.PCIE5, native_fp8=True),
    "H200": _gpu(4800, 989, Link.NVLINK, native_fp8=True),
    "L4": _gpu(300, 121, native_fp8=True),
    "L40S": _gpu(864, 362, native_fp8=True),
    "RTX 3090": _gpu(936, 71),
    "RTX 4090": _gpu(1008, 165.2, native_fp8=True),
    "RTX 5090": _gpu(1792, 209.5, Link.PCIE5, native_fp8=True),
    "RTX 6000 Ada": _gpu(960, 364, native_fp8=True),
    "RTX A6000": _gpu(768, 154.8),
    "RTX PRO 6000 Blackwell": _gpu(1792, 503.8, Link.PCIE5, native_fp8=True),
    "T4": _gpu(320, 65),
}
