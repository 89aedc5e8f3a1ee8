"""vLLM releases: how they are written, and with which release each memory rule begins.

Each rule names its source: [src] = vLLM's source of that release, [log] = start-up logs,
[assumed] = between two known releases, the exact one not read.
"""

import re
from dataclasses import dataclass
from functools import total_ordering

from admission.terms.spelling import UnknownNameError

FIRST_MINOR, LAST_MINOR = 2, 33
ASSUMED = "0.32.0"  # the release this project pins: the default
_ANY_PATCH = 999  # "0.8.x" means the last patch of 0.8
_PATTERN = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+|x|\*))?(?:[.+\-]?[a-z0-9].*)?", re.IGNORECASE)


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A release of vLLM; `patch` 999 where only major and minor are known."""

    minor: int
    patch: int = _ANY_PATCH

    def __lt__(self, other: "Version") -> bool:
        return (self.minor, self.patch) < (other.minor, other.patch)

    def __str__(self) -> str:
        return f"0.{self.minor}.{'x' if self.patch == _ANY_PATCH else self.patch}"


def parse_version(text: str) -> Version:
    """`0.19.0`, `v0.8.x`, `0.11`, `0.11.0rc2`, `0.19.1+vendor`, `0.26.1rc1.dev608+g99a`."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise UnknownNameError("vLLM version", text, _known())
    major, minor, patch = match.groups()
    if major != "0" or not FIRST_MINOR <= int(minor) <= LAST_MINOR:
        raise _outside(text, int(major), int(minor))
    return Version(int(minor), int(patch) if patch and patch.isdecimal() else _ANY_PATCH)


def _outside(text: str, major: int, minor: int) -> ValueError:
    edge = FIRST_MINOR if major == 0 and minor < FIRST_MINOR else LAST_MINOR
    return ValueError(
        f"unknown vLLM version {text!r}; nearest known: 0.{edge}.x;"
        f" known: 0.{FIRST_MINOR} to 0.{LAST_MINOR}"
    )


def _known() -> list[str]:
    return [f"0.{minor}.x" for minor in range(FIRST_MINOR, LAST_MINOR + 1)]


def default_utilization(version: Version) -> float:
    """0.90 up to 0.19, 0.92 from 0.20.0 [src]."""
    return 0.92 if version >= Version(20, 0) else 0.90


def is_engine_v0(version: Version, compute_capability: float) -> bool:
    """V0 up to 0.7, and in 0.8 on cards before Ampere, which V1 did not take yet [src, log]."""
    before_ampere = 8.0
    return version < Version(8, 0) or (
        version < Version(9, 0) and compute_capability < before_ampere
    )


def groups_layers_by_kind(version: Version) -> bool:
    """Whether sliding-window layers keep only their window; in earlier releases they keep all.

    Logs show group-wise allocation from 0.10.1; its first release is [assumed] to be 0.10.0.
    """
    return version >= Version(10, 0)


def prints_tokens_from_concurrency(version: Version) -> bool:
    """Token line: concurrency x max_model_len from 0.20.1, blocks // groups x block before [src].

    A development build of 0.20.1 (K152) still printed the old line.
    """
    return version >= Version(20, 1)


def holds_two_batches_in_flight(version: Version) -> bool:
    """Whether a sliding window reserves room for two batches (asynchronous scheduling) or one.

    Two in 0.32 [src], one up to 0.19 [log]; K163 (no version given) needs two.
    0.24 is [assumed].
    """
    return version >= Version(24, 0)


def keeps_recurrent_checkpoints(version: Version) -> bool:
    """Whether recurrent layers hold 2 states per request (prefix caching "align") or 1.

    Two in 0.32 [src] and in all logs of Qwen3.6 and 3.8; 0.11 could not cache their prefixes.
    0.16 is [assumed].
    """
    return version >= Version(16, 0)


def pads_latents(version: Version) -> bool:
    """V0 rounded each MLA entry up to 256 bytes: 576 -> 640 numbers of 16 bits (0.7.2) [log]."""
    return Version(7, 2) <= version < Version(8, 0)


def stretches_yarn(version: Version) -> bool:
    """Whether YaRN's factor lengthens the context, from its original length: before 0.30 [src]."""
    return version < Version(30, 0)
