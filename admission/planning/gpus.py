"""The table of cards: memory, speed, and the properties that decide vLLM's defaults.

To add a card, add a `Gpu` here. Without `speeds` a plan covers its memory, and times are unknown.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from admission.terms.spelling import UnknownNameError, plain

_LARGE_FROM_GIB = 70.0
_UNNAMED = re.compile(r"(\d+(?:\.\d+)?) ?GB(?: (?:gpu|card|class))", re.IGNORECASE)
_UNNAMED_SHARE = 0.98  # of the label: 24 GB -> 23.5 GiB, 80 -> 78.4; cards of the table scatter 2 %


class Link(StrEnum):
    """How the GPUs of one server are connected; each link has its table in `all_reduce`."""

    PCIE4 = "pcie4"  # through the host bridge, as measured on a server with L40S
    PCIE4_P2P = "pcie4_p2p"  # behind one switch; assumed, not measured
    PCIE5 = "pcie5"
    NVLINK = "nvlink"


@dataclass(frozen=True, slots=True)
class Speeds:
    """Peak rates from the data sheet; `step_model` knows which share of them is reached.

    `flop_per_s` is dense FP16/BF16 on tensor cores with FP32 sums (on GeForce half the advertised
    rate). `eight_bit_ratio` is the speedup of INT8 arithmetic over it. With `native_fp8` FP8 has
    the same speedup; otherwise FP8 weights are widened to 16 bits before they are multiplied.
    """

    bandwidth_bytes_per_s: float
    flop_per_s: float
    link: Link
    eight_bit_ratio: float = 2.0
    native_fp8: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card. `total_gib` is the total that torch reports, less than the label.

    `nvlink`: servers usually have it. `measured_link`: all-reduces were measured between such
    cards; otherwise the link's table comes from another card (assumed).
    """

    name: str
    total_gib: float
    compute_capability: float  # 8.6 = sm_86
    speeds: Speeds | None = None  # None = unknown
    nvlink: bool = False
    measured_link: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def is_large(self) -> bool:
        """Whether vLLM uses its large defaults: at least 70 GiB, except A100 [src]."""
        return self.total_gib >= _LARGE_FROM_GIB and not self.name.startswith("A100")


def _speeds(
    gb_per_s: float, tflop_per_s: float, link: Link = Link.PCIE4, *, native_fp8: bool = False
) -> Speeds:
    return Speeds(gb_per_s * 1e9, tflop_per_s * 1e12, link, native_fp8=native_fp8)


# Export models (A800, H800) differ only in NVLink, whose table is already rounded down.
_A100_80GB = _speeds(2039, 312, Link.NVLINK)
_H100_80GB = _speeds(3350, 989, Link.NVLINK, native_fp8=True)
_RTX_4090 = _speeds(1008, 165.2, native_fp8=True)

# Totals: [log] where capacity logs print them (T4 14.56-14.74, A10 22.06, 3090/4090 23.5-23.7,
# A100-40 39.39-39.56, L40S 44.31-44.42, H100 79.18-79.25, RTX PRO 6000 95.01, 5090 31.4, 4060 8.0);
# else the label minus the same share as a card of that family, marked "scaled".
# Speeds: NVIDIA's data sheets and architecture papers.
_CARDS = (
    Gpu("A10", 22.06, 8.6, _speeds(600, 125), aliases=("A10-24GB", "NVIDIA A10")),
    Gpu("A10G", 22.06, 8.6, _speeds(600, 70), aliases=("A10G-24GB",)),  # A10's chip and memory
    Gpu("A16", 14.6, 8.6),  # scaled
    Gpu("A30", 23.5, 8.0, _speeds(933, 165), aliases=("A30-24GB",)),  # scaled
    Gpu("A40", 44.4, 8.6, _speeds(696, 149.7), aliases=("A40-48GB",)),  # as L40S
    Gpu(
        "L4",
        22.03,  # 23,034 MiB by nvidia-smi, less 0.46 as on A10
        8.9,
        _speeds(300, 121, native_fp8=True),
        aliases=("L4-24GB",),
    ),
    Gpu("L20", 44.4, 8.9, aliases=("L20-48GB",)),  # as L40S
    Gpu("L40", 44.4, 8.9, aliases=("L40-48GB",)),  # as L40S
    Gpu(
        "L40S",
        44.39,
        8.9,
        _speeds(864, 362, native_fp8=True),
        measured_link=True,
        aliases=("L40S-48GB", "L40S (PCIe, no NVLink)"),
    ),
    Gpu("T4", 14.6, 7.5, _speeds(320, 65), aliases=("Tesla T4", "T4-16GB")),
    Gpu("V100-16GB", 15.77, 7.0, nvlink=True),
    Gpu("V100-32GB", 31.74, 7.0, nvlink=True, aliases=("V100",)),
    Gpu(
        "A100-40GB",
        39.5,
        8.0,
        _speeds(1555, 312, Link.NVLINK),
        nvlink=True,
        aliases=("A100-SXM4-40GB",),
    ),
    Gpu("A100-40GB-PCIe", 39.5, 8.0, _speeds(1555, 312), aliases=("A100-PCIE-40GB",)),
    Gpu(
        "A100-80GB",
        79.15,
        8.0,
        _A100_80GB,
        nvlink=True,
        aliases=("A100", "A100-SXM4-80GB"),
    ),
    Gpu("A100-80GB-PCIe", 79.15, 8.0, _speeds(1935, 312), aliases=("A100-PCIE-80GB",)),
    Gpu("A800-80GB", 79.15, 8.0, _A100_80GB, nvlink=True, aliases=("A800",)),  # as A100-80GB
    Gpu(
        "H100-80GB",
        79.19,
        9.0,
        _H100_80GB,
        nvlink=True,
        aliases=("H100", "H100-SXM", "H100-80GB-HBM3"),
    ),
    Gpu(
        "H100-80GB-PCIe",
        79.19,
        9.0,
        _speeds(2000, 756, Link.PCIE5, native_fp8=True),
        aliases=("H100-PCIe", "H100-PCIE-80GB"),
    ),
    Gpu("H800-80GB", 79.19, 9.0, _H100_80GB, nvlink=True, aliases=("H800",)),  # as H100
    Gpu("H20", 95.0, 9.0, nvlink=True, aliases=("H20-96GB",)),  # scaled
    Gpu(
        "H200",
        139.8,
        9.0,
        _speeds(4800, 989, Link.NVLINK, native_fp8=True),
        nvlink=True,
        aliases=("H200-141GB", "H200-SXM", "H200 (inferred)"),
    ),
    Gpu("GH200", 94.5, 9.0, aliases=("GH200-96GB",)),  # scaled
    Gpu(
        "B200",
        178.4,  # scaled
        10.0,
        _speeds(8000, 2250, Link.NVLINK, native_fp8=True),
        nvlink=True,
        aliases=("B200-180GB", "B200-192GB"),
    ),
    Gpu("MI300X", 191.98, 9.4, nvlink=True, aliases=("AMD MI300X", "MI300X-192GB")),
    Gpu("RTX 2080 Ti", 10.75, 7.5, aliases=("2080Ti", "RTX 2080 Ti 11GB")),
    Gpu("RTX 2080 Ti 22GB", 21.5, 7.5, aliases=("2080Ti-22G",)),
    Gpu("RTX 3060 12GB", 11.6, 8.6, aliases=("RTX 3060",)),  # scaled
    Gpu(
        "RTX 3090",
        23.58,
        8.6,
        _speeds(936, 71),
        aliases=("3090", "RTX 3090 24GB", "RTX 3090 Ti"),
    ),
    Gpu("RTX 4060 8GB", 8.0, 8.9, aliases=("RTX 4060",)),
    Gpu("RTX 4060 Ti 16GB", 15.6, 8.9, aliases=("RTX 4060 Ti",)),  # scaled
    Gpu("RTX 4090", 23.57, 8.9, _RTX_4090, aliases=("4090", "RTX 4090 24GB")),
    Gpu("RTX 4090 48GB", 47.4, 8.9, _RTX_4090, aliases=("4090-48GB", "RTX 4090D 48GB")),  # scaled
    Gpu("RTX 5060 Ti 16GB", 15.48, 12.0, aliases=("RTX 5060 Ti",)),  # scaled
    Gpu(
        "RTX 5090",
        31.36,
        12.0,
        _speeds(1792, 209.5, Link.PCIE5, native_fp8=True),
        aliases=("5090", "RTX 5090 32GB"),
    ),
    Gpu("RTX A5000", 23.6, 8.6, aliases=("A5000",)),  # scaled
    Gpu("RTX A6000", 47.4, 8.6, _speeds(768, 154.8), aliases=("A6000", "RTX A6000 48GB")),  # scaled
    Gpu(
        "RTX 6000 Ada",
        47.4,  # scaled
        8.9,
        _speeds(960, 364, native_fp8=True),
        aliases=("RTX 6000 Ada Generation",),
    ),
    Gpu("Quadro RTX 6000", 23.6, 7.5, aliases=("Quadro RTX 6000 24GB",)),  # scaled
    Gpu(
        "RTX PRO 6000",
        95.01,
        12.0,
        _speeds(1792, 503.8, Link.PCIE5, native_fp8=True),
        measured_link=True,
        aliases=("RTX PRO 6000 Blackwell", "RTX PRO 6000 Blackwell 96GB", "RTX 6000 Pro"),
    ),
)
_MAKERS = ("nvidia", "geforce", "amd", "tesla")


def known_gpus() -> list[str]:
    """Names of all cards, in the table's order."""
    return [card.name for card in _CARDS]


def find_gpu(name: str) -> Gpu:
    """The card called `name`, in any of its spellings; ValueError suggests the nearest known name.

    An unnamed card ("24GB GPU, A10 class (unnamed)", "22GB card (2080Ti-22G class)", "64GB card")
    is the card of the stated class, else a card before Hopper with 98 % of the stated gigabytes.
    """
    index = {plain(spelling): c for c in _CARDS for spelling in (c.name, *c.aliases)}
    unnamed = _UNNAMED.match(name.strip())
    classes = re.search(r"([\w\- ]+?) class", name)
    for spelling in (name, name.split("(", maxsplit=1)[0], classes.group(1) if classes else name):
        wanted = plain(spelling)
        for maker in _MAKERS:
            wanted = wanted.removeprefix(maker)
        card = index.get(wanted) or index.get(plain(spelling))
        if card is not None:
            return card
    if unnamed is None:
        raise UnknownNameError("GPU", name, known_gpus(), remedy="sluice plan --list gpus")
    return Gpu(f"{unnamed.group(1)} GB card", float(unnamed.group(1)) * _UNNAMED_SHARE, 8.6)
