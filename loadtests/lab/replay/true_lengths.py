"""How long each answer of a log is: as it was, or where nobody knows, drawn from its class."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loadtests.lab.replay.entry import LogEntry, LoggedEnd, Replayed

_CLASS_LEAST = 5  # finished answers; fewer say little, and the class around it is asked


class Length(NamedTuple):
    """Tokens of one sequence. `cut`: its limit ended it, by itself it would have gone on."""

    tokens: int
    cut: bool


@dataclass(frozen=True, slots=True)
class TrueLengths:
    """One per entry of a log, and how many of them are drawn, by why nobody knows them."""

    lengths: tuple[Length, ...]
    drawn_refused: int = 0
    drawn_unended: int = 0  # left the line, or had not ended when the log or the engine did
    cut_by_clients: int = 0  # played as long as they were when their client left


def lengths_of(entries: Sequence[LogEntry], *, seed: int) -> TrueLengths:
    """True lengths; those that a log lacks are drawn by `seed`, the same for each entry's place."""
    pools = _pools(entries)
    told: list[Length] = []
    refused = unended = cut = 0
    for place, entry in enumerate(entries):
        known = _known(entry)
        if known is None:
            known = _drawn(entry.asked, pools, np.random.default_rng((seed, place)))
            refused += entry.fate.refused
            unended += not entry.fate.refused
        elif entry.fate.left:
            cut += 1
        told.append(known)
    return TrueLengths(tuple(told), refused, unended, cut)


def _known(entry: LogEntry) -> Length | None:
    """Of one of its sequences; None where it was refused or its end is not there."""
    asked, fate = entry.asked, entry.fate
    if asked.known_length:
        return Length(_most(asked), cut=True)
    if not fate.output_tokens:
        return None
    return Length(max(1, fate.output_tokens // asked.sequences), _was_cut(fate))


def _was_cut(fate: LoggedEnd) -> bool:
    return fate.finish == "length"


def _most(asked: Replayed) -> int:
    """Tokens that one of its answers may have."""
    return max(1, asked.max_tokens // asked.prompts)


def _pools(entries: Sequence[LogEntry]) -> dict[tuple[str | int, ...], list[Length]]:
    """Finished lengths by class, and by each class around it."""
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
    """One of its class, or of the next class around it that has enough; else as predicted."""
    most = _most(asked)
    for key in asked.class_keys:
        pool = pools.get(key, ())
        if len(pool) >= _CLASS_LEAST:
            tokens, cut = pool[int(rng.integers(len(pool)))]
            return Length(most, True) if cut else Length(min(tokens, most), False)
    return Length(min(most, max(1, asked.predicted_tokens // asked.sequences)), False)
