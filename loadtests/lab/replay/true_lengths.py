"""The length of each answer of a log: as logged, or drawn from its class if unknown."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loadtests.lab.replay.entry import LogEntry, LoggedEnd, Replayed

_CLASS_LEAST = 5  # finished answers; with fewer, the wider class is used


class Length(NamedTuple):
    """Tokens of one sequence. `cut`: max_tokens ended it; it would have continued."""

    tokens: int
    cut: bool


@dataclass(frozen=True, slots=True)
class TrueLengths:
    """One length per entry of a log, and how many are drawn, by the reason."""

    lengths: tuple[Length, ...]
    drawn_refused: int = 0
    drawn_unended: int = 0  # left the queue, or still ran when the log or the engine ended
    cut_by_clients: int = 0  # replayed with the length at which their client left


def lengths_of(entries: Sequence[LogEntry], *, seed: int) -> TrueLengths:
    """True lengths; missing ones are drawn from `seed` and the entry's place."""
    pools = _pools(entries)
    lengths: list[Length] = []
    refused = unended = cut = 0
    for place, entry in enumerate(entries):
        known = _known(entry)
        if known is None:
            known = _drawn(entry.asked, pools, np.random.default_rng((seed, place)))
            refused += entry.fate.refused
            unended += not entry.fate.refused
        elif entry.fate.left:
            cut += 1
        lengths.append(known)
    return TrueLengths(tuple(lengths), refused, unended, cut)


def _known(entry: LogEntry) -> Length | None:
    """The length of one of its sequences; None if it was refused or has no logged end."""
    asked, fate = entry.asked, entry.fate
    if asked.known_length:
        return Length(_most(asked), cut=True)
    if not fate.output_tokens:
        return None
    return Length(max(1, fate.output_tokens // asked.sequences), _was_cut(fate))


def _was_cut(fate: LoggedEnd) -> bool:
    return fate.finish == "length"


def _most(asked: Replayed) -> int:
    """The most tokens that one of its answers may have."""
    return max(1, asked.max_tokens // asked.prompts)


def _pools(entries: Sequence[LogEntry]) -> dict[tuple[str | int, ...], list[Length]]:
    """Finished lengths by class and by each wider class."""
    pools = defaultdict(list)
    for entry in entries:
        length = _known(entry) if entry.fate.whole and not entry.asked.known_length else None
        if length is not None:
            for key in entry.asked.class_keys:
                pools[key].append(length)
    return pools


def _drawn(
    asked: Replayed,
    pools: dict[tuple[str | int, ...], list[Length]],
    rng: np.random.Generator,
) -> Length:
    """A length from its class or the next wider one with enough answers; else as predicted."""
    most = _most(asked)
    for key in asked.class_keys:
        pool = pools.get(key, ())
        if len(pool) >= _CLASS_LEAST:
            tokens, cut = pool[int(rng.integers(len(pool)))]
            return Length(most, True) if cut else Length(min(tokens, most), False)
    return Length(min(most, max(1, asked.predicted_tokens // asked.sequences)), False)
