"""Routing policies, which choose an engine of the fleet for each request.

Each router is one process: it knows its own dispatches at once and everything else from boards.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from admission.fleet.board import Board
from admission.fleet.pick import Ask, Candidate, Cost, Picker, Weights
from admission.price.prefixes import PrefixHashes
from loadtests.lab.playing.workload import TraceRequest

_BOUND = 1.25  # multiple of the mean load that a bounded hash gives to one engine at most
_KEY_BLOCKS = 4  # blocks of 512 tokens: a system prompt and the beginning of a chat
_BLOCK_TOKENS = 16  # Dynamo's unit


class Router(Protocol):
    """A routing policy in one router process."""

    def heed(self, boards: Sequence[Board]) -> None:
        """Takes newer boards of all engines; they include all earlier dispatches."""
        ...

    def pick(self, request: TraceRequest, names: PrefixHashes, now_s: float) -> int:
        """The engine for a request; `names` are its prompt's prefix hashes."""
        ...

    def over(self, engine: int) -> None:
        """Notes that a request dispatched to `engine` has ended."""
        ...


class _Connections:
    """A router that counts its own open requests and reads no boards."""

    def __init__(self, engines: int, rng: random.Random) -> None:
        self._open = [0] * engines
        self._rng = rng

    def heed(self, boards: Sequence[Board]) -> None:
        """Does nothing."""

    def over(self, engine: int) -> None:
        """Counts one open request less."""
        self._open[engine] -= 1

    def pick(self, request: TraceRequest, _: PrefixHashes, __: float) -> int:
        """The engine that `_choose` returns, counted as open."""
        chosen = self._choose(request)
        self._open[chosen] += 1
        return chosen

    def _choose(self, request: TraceRequest) -> int:
        raise NotImplementedError


class Random(_Connections):
    """Chooses an engine at random."""

    def _choose(self, _: TraceRequest) -> int:
        return self._rng.randrange(len(self._open))


class RoundRobin(_Connections):
    """Chooses the engines in turn."""

    _last = -1

    def _choose(self, _: TraceRequest) -> int:
        self._last = (self._last + 1) % len(self._open)
        return self._last


class LeastConnections(_Connections):
    """HAProxy's `leastconn`: fewest open requests; on a tie the one after the last choice."""

    _last = -1

    def _choose(self, _: TraceRequest) -> int:
        count = len(self._open)
        order = [(self._last + 1 + step) % count for step in range(count)]
        self._last = min(order, key=self._open.__getitem__)
        return self._last


class PrefixHash(_Connections):
    """Rendezvous hashing of a prompt's beginning; a prompt without names gets a random engine.

    `bound`: engines with more than `bound` times the mean of open requests are skipped.
    """

    def __init__(self, engines: int, rng: random.Random, bound: float | None = None) -> None:
        super().__init__(engines, rng)
        self._bound = bound

    def _choose(self, request: TraceRequest) -> int:
        key = " ".join(request.prefix[:_KEY_BLOCKS]) or str(request.number)
        order = sorted(range(len(self._open)), key=lambda engine: _digest(f"{engine} {key}"))
        if self._bound is None:
            return order[0]
        most = self._bound * (sum(self._open) + 1) / len(self._open)
        return next((each for each in order if self._open[each] + 1 <= most), order[0])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class Informed:
    """Chooses the engine of least cost by boards; with `choices`, among so many random ones."""

    def __init__(
        self,
        engines: int,
        rng: random.Random,
        cost: Cost,
        *,
        books: bool = True,
        choices: int | None = None,
    ) -> None:
        self._names = [str(engine) for engine in range(engines)]
        self._rng, self._choices = rng, choices
        self._picker = Picker(cost, books=books)

    def heed(self, boards: Sequence[Board]) -> None:
        """Takes the boards and drops the booked dispatches, which the boards now include."""
        for name, board in zip(self._names, boards, strict=True):
            self._picker.heed(name, board, seen=self._picker.dispatched)

    def pick(self, request: TraceRequest, names: PrefixHashes, now_s: float) -> int:
        """Chooses an engine and books the dispatch."""
        among = self._rng.sample(self._names, self._choices) if self._choices else None
        pick = self._picker.pick(Ask(request.prompt_tokens, names), now_s, among)
        return 0 if pick is None else int(pick.engine)

    def over(self, engine: int) -> None:
        """Does nothing: the boards report it."""


def requests_of(candidate: Candidate) -> float:
    """Cost of power-of-two choices: queued and running requests."""
    return candidate.requests


def lmetric(candidate: Candidate) -> float:
    """Cost of LMetric (arXiv 2603.15202): prompt tokens to compute x requests."""
    return (candidate.backlog_tokens + candidate.uncached_tokens) * (candidate.requests + 1)


def dynamo(candidate: Candidate) -> float:
    """Cost of Dynamo's KV router (overlap weight 1, temperature 0): blocks to prefill and held."""
    prefill = (candidate.backlog_tokens + candidate.uncached_tokens) / _BLOCK_TOKENS
    held = (
        (candidate.board.held_ratio + candidate.booked_ratio)
        * candidate.board.capacity_tokens
        / _BLOCK_TOKENS
    )
    return prefill + held


def _informed(cost: Cost, **more: object) -> Callable[[int, random.Random], Router]:
    return lambda engines, rng: Informed(engines, rng, cost, **more)  # type: ignore[arg-type]


OURS = "promise"
ROUTERS: Mapping[str, Callable[[int, random.Random], Router]] = {
    "random": Random,
    "round_robin": RoundRobin,
    "least_connections": LeastConnections,
    "power_of_two": _informed(requests_of, choices=2),
    "prefix_hash": PrefixHash,
    "bounded_hash": lambda engines, rng: PrefixHash(engines, rng, _BOUND),
    "lmetric": _informed(lmetric),
    "dynamo": _informed(dynamo),
    OURS: _informed(Weights().cost_s),
    "promise_no_booking": _informed(Weights().cost_s, books=False),
}


def promise(externality: float, occupancy_s: float) -> Callable[[int, random.Random], Router]:
    """A maker of our router with other weights."""
    return _informed(Weights(externality, occupancy_s).cost_s)
