"""The pick: the engine on which a request costs least, by boards and by what was just dispatched.

    cost = predicted TTFT + booked prefill
         + externality x seconds of its uncached prefill x requests there
         + occupancy_s x held KV ratio

in seconds. The first line is what this request waits. The second is what its prompt makes the
others wait: each of them loses the time of its prefill. The third settles ties on idle engines in
favour of the one with more KV cache left.

Boards are old by the time they are read. What was dispatched since then is booked on top: one
request, its uncached prompt and its KV tokens. A board in which a dispatch is seen
clears its booking.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from admission.fleet.board import Board


@dataclass(frozen=True, slots=True)
class Ask:
    """What is known of a request when it is routed. `names` = of its prompt's chunks."""

    prompt_tokens: int
    names: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One engine for one request: its board, with what is booked on top of it."""

    board: Board
    uncached_tokens: int  # of this request's prompt
    booked_tokens: int  # uncached ones
    requests: int
    booked_ratio: float  # of the KV cache, by the prompts that are booked

    @property
    def backlog_tokens(self) -> int:
        """Prompt tokens ahead of this request's."""
        return self.board.backlog_tokens + self.booked_tokens


Cost = Callable[[Candidate], float]


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the cost's terms. Fitted in the lab: docs/measurements/fleet.md."""

    externality: float = 0.2
    occupancy_s: float = 0.25

    def cost_s(self, candidate: Candidate) -> float:
        """Seconds that the choice costs this request and those already there."""
        board = candidate.board
        own_s = board.prefill_token_s * candidate.uncached_tokens
        return (
            board.predicted_ttft_s(candidate.uncached_tokens)
            + board.prefill_token_s * candidate.booked_tokens
            + self.externality * own_s * candidate.requests
            + self.occupancy_s * (board.peak_ratio + candidate.booked_ratio)
        )


@dataclass(frozen=True, slots=True)
class Pick:
    """The choice and its reasons. `second` is None where no other engine takes the request."""

    engine: str
    number: int  # of this dispatch
    cost: float
    uncached_tokens: int
    second: str | None
    second_cost: float | None
    age_s: float  # of the chosen engine's board


@dataclass(frozen=True, slots=True)
class _Booked:
    number: int
    uncached_tokens: int
    prompt_tokens: int
    names: frozenset[int]


class Picker:
    """One router's view of a fleet; told the time. Without `books` it books nothing."""

    def __init__(self, cost: Cost, *, books: bool = True) -> None:
        self._cost = cost
        self._books = books
        self._boards: dict[str, Board] = {}
        self._booked: dict[str, deque[_Booked]] = {}
        self.dispatched = 0  # number of the last dispatch

    @property
    def boards(self) -> Mapping[str, Board]:
        """The last of each engine."""
        return self._boards

    def heed(self, engine: str, board: Board, *, seen: int) -> None:
        """A newer board; up to the dispatch `seen` what was booked is in it."""
        self._boards[engine] = board
        booked = self._booked.setdefault(engine, deque())
        while booked and booked[0].number <= seen:
            booked.popleft()

    def forget(self, engine: str) -> None:
        """The engine is gone."""
        self._boards.pop(engine, None)
        self._booked.pop(engine, None)

    def pick(self, ask: Ask, now_s: float, among: Collection[str] | None = None) -> Pick | None:
        """Choose, of all engines or `among` these, and book; None where none takes the request."""
        names = self._boards if among is None else among
        found = {
            name: self._candidate(name, ask)
            for name in names
            if name in self._boards and self._boards[name].takes(ask.prompt_tokens)
        }
        if not found:
            return None
        ranked = sorted((self._cost(candidate), name) for name, candidate in found.items())
        cost, engine = ranked[0]
        second_cost, second = ranked[1] if len(ranked) > 1 else (None, None)
        uncached, age_s = found[engine].uncached_tokens, now_s - self._boards[engine].at_s
        self._book(engine, ask, uncached)
        return Pick(engine, self.dispatched, cost, uncached, second, second_cost, age_s)

    def _book(self, engine: str, ask: Ask, uncached_tokens: int) -> None:
        self.dispatched += 1
        if self._books:
            self._booked[engine].append(
                _Booked(self.dispatched, uncached_tokens, ask.prompt_tokens, frozenset(ask.names))
            )

    def _candidate(self, engine: str, ask: Ask) -> Candidate:
        board, booked = self._boards[engine], self._booked[engine]
        held_tokens = sum(each.prompt_tokens for each in booked)
        return Candidate(
            board,
            _uncached_tokens(ask, board, booked),
            booked_tokens=sum(each.uncached_tokens for each in booked),
            requests=board.requests + len(booked),
            booked_ratio=held_tokens / board.capacity_tokens,
        )


def _uncached_tokens(ask: Ask, board: Board, booked: Sequence[_Booked]) -> int:
    """Tokens of the prompt to compute there, once what is booked has been computed."""
    cached = 0
    for name in ask.names:
        if name not in board.prefixes and not any(name in each.names for each in booked):
            break
        cached += board.chunk_tokens
    return max(1, ask.prompt_tokens - cached)
