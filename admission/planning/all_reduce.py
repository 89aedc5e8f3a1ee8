"""Seconds of one all-reduce by message size and ranks, for GPUs with and without NVLink.

The tables hold measured points. Between two points time is a power of the size (a straight line in
log-log scale), below the first it is constant (latency), above the last proportional to the size.
"""

import math
from bisect import bisect_right
from itertools import accumulate, pairwise

from admission.planning.gpus import Link

ELEMENT_BYTES = 2  # activations are FP16 or BF16

_Points = tuple[tuple[int, float], ...]  # elements of 2 bytes, milliseconds

# L40S, PCIe 4, no NVLink: aiconfigurator's measurements, vLLM's all-reduce inside a CUDA graph up
# to 4,194,304 elements and NCCL's beyond.
_L40S: dict[int, _Points] = {
    2: (
        (4_096, 0.0057),
        (8_192, 0.0062),
        (16_384, 0.0074),
        (65_536, 0.0110),
        (262_144, 0.032),
        (1_048_576, 0.117),
        (4_194_304, 0.45),
        (16_777_216, 1.69),
    ),
    4: (
        (4_096, 0.0143),
        (8_192, 0.0175),
        (16_384, 0.0260),
        (65_536, 0.0596),
        (262_144, 0.219),
        (1_048_576, 0.841),
        (4_194_304, 3.32),
        (16_777_216, 9.84),
    ),
    8: (
        (4_096, 0.0276),
        (8_192, 0.0274),
        (16_384, 0.0484),
        (65_536, 0.108),
        (262_144, 0.445),
        (1_048_576, 2.08),
        (4_194_304, 8.17),
        (16_777_216, 38.9),
    ),
}

# RTX PRO 6000, PCIe 5: aiconfigurator, vLLM inside a CUDA graph.
_PRO_6000: dict[int, _Points] = {
    2: ((4_096, 0.0045), (65_536, 0.0082), (1_048_576, 0.056)),
    4: ((4_096, 0.0137), (65_536, 0.025), (1_048_576, 0.146)),
    8: ((4_096, 0.0266), (65_536, 0.049), (1_048_576, 0.223)),
}


def _half_speed(points: _Points) -> _Points:
    """The points with the same latency at half the bandwidth: PCIe 4 from a table of PCIe 5."""
    latency_ms = points[0][1]
    return tuple((size, latency_ms + 2 * (ms - latency_ms)) for size, ms in points)


# Assumed, not measured: a PCIe 4 server with all cards behind one switch. For two cards the table
# of L40S holds, since these already reach the bandwidth of their slots.
_SWITCHED = {2: _L40S[2], 4: _half_speed(_PRO_6000[4]), 8: _half_speed(_PRO_6000[8])}


def _ring(*, latency_ms: float, gb_per_s: float) -> dict[int, _Points]:
    """A ring: a latency, then 2 (n - 1) / n of the message over each link (assumed for NVLink)."""
    sizes = (4_096, 65_536, 1_048_576, 16_777_216)
    return {
        ranks: tuple(
            (
                size,
                latency_ms + size * ELEMENT_BYTES * 2 * (ranks - 1) / ranks / gb_per_s / 1e6,
            )
            for size in sizes
        )
        for ranks in (2, 4, 8)
    }


_TABLES = {
    Link.PCIE4: _L40S,
    Link.PCIE4_P2P: _SWITCHED,
    Link.PCIE5: _PRO_6000,
    Link.NVLINK: _ring(latency_ms=0.010, gb_per_s=200),  # A100's NVLink 3, rounded down; assumed
}


class AllReduce:
    """Time of one all-reduce on a given link and number of ranks; zero for one rank."""

    def __init__(self, link: Link, ranks: int) -> None:
        if ranks < 1:
            raise ValueError(f"ranks must be 1 or more, not {ranks}")
        table = _TABLES[link]
        self._parts = [
            (share, _Curve(table[column])) for column, share in _columns(ranks, tuple(table))
        ]

    def seconds(self, message_bytes: float) -> float:
        """Seconds to sum `message_bytes` over all ranks; 0 for nothing to sum."""
        if message_bytes <= 0:
            return 0.0
        total_s = 0.0
        for share, curve in self._parts:
            total_s += share * curve.seconds(message_bytes)
        return total_s


class _Curve:
    """Seconds by message size: one column of a table."""

    def __init__(self, points: _Points) -> None:
        self._sizes = [size * ELEMENT_BYTES for size, _ in points]
        # a larger message that measured faster than a smaller one is noise
        self._times_s = list(accumulate((ms / 1e3 for _, ms in points), max))
        self._slopes = [
            math.log(after / before) / math.log(larger / size)
            for (size, before), (larger, after) in pairwise(
                zip(self._sizes, self._times_s, strict=True)
            )
        ] + [1.0]

    def seconds(self, message_bytes: float) -> float:
        """Seconds for a message of at least one byte."""
        sizes = self._sizes
        if message_bytes <= sizes[0]:
            return self._times_s[0]
        at = bisect_right(sizes, message_bytes) - 1
        ratio: float = (message_bytes / sizes[at]) ** self._slopes[at]
        return self._times_s[at] * ratio


def _columns(ranks: int, known: tuple[int, ...]) -> list[tuple[int, float]]:
    """Columns to combine and the weight of each: linear between two, proportional beyond 8 ranks.

    It is proportional since a ring takes 2 (n - 1) rounds.
    """
    if ranks == 1:
        return []
    low = max(column for column in known if column <= ranks)
    if low in (ranks, max(known)):
        return [(low, ranks / low)]
    high = min(column for column in known if column > ranks)
    share = (ranks - low) / (high - low)
    return [(low, 1 - share), (high, share)]
