"""Joins the lines of a log: each request with its decisions and its end."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admission.terms.decision import Outcome
from admission.terms.settings import Mode
from loadtests.lab.replay.entry import LogEntry, LoggedEnd, Replayed
from loadtests.lab.replay.lines import (
    BrokenLineError,
    DecisionLine,
    EndLine,
    checked,
    parse,
    read_lines,
)


@dataclass(frozen=True, slots=True)
class Log:
    """Requests in the order of their first lines, and the reader's remarks."""

    name: str
    entries: tuple[LogEntry, ...]
    warnings: tuple[str, ...] = ()

    @property
    def replicas(self) -> tuple[str, ...]:
        """Starts of engines, in order of appearance."""
        return tuple(dict.fromkeys(entry.asked.replica for entry in self.entries))

    @property
    def hashes(self) -> Counter[str]:
        """The number of requests decided under each settings hash; "" = unknown."""
        return Counter(entry.asked.config_hash for entry in self.entries)


def read_log(path: Path) -> Log:
    """The log in a file; ValueError if it is not a log or has another version."""
    pairing, broken, number = _Pairing(), [], 0
    for number, text in enumerate(read_lines(path), start=1):
        try:
            pairing.take(parse(text))
        except BrokenLineError:
            broken.append(number)
        except ValueError as problem:
            raise ValueError(f"{path}:{number}: {problem}") from None
    if not pairing.drafts:
        raise ValueError(f"{path}: no decision in {number} lines")
    return Log(path.name, pairing.entries(), tuple(_warnings(broken, number, pairing)))


def entries_of(records: Iterable[Mapping[str, Any]]) -> tuple[LogEntry, ...]:
    """The entries of records in memory."""
    pairing = _Pairing()
    for record in records:
        pairing.take(checked(record))
    return pairing.entries()


def _warnings(broken: list[int], lines: int, pairing: "_Pairing") -> Iterable[str]:
    if broken == [lines]:
        yield f"line {lines}, the last one, is not whole and is left out"
    elif broken:
        yield f"{len(broken)} of {lines} lines are not whole and are left out, first {broken[0]}"
    if pairing.orphans:
        yield f"{pairing.orphans} endings of requests that began before the log are left out"


@dataclass(slots=True, eq=False)
class _Draft:
    """A request whose lines are still being read."""

    asked: Replayed
    first: Outcome
    reason: str | None
    waiting: bool  # for its second decision, when it leaves the queue
    end: EndLine | None = None

    def entry(self) -> LogEntry:
        end = self.end
        if end is None:
            return LogEntry(self.asked, LoggedEnd(self.first, self.reason))
        told = end.model_dump(include={"waited_s", "ttft_s", "tpot_s", "output_tokens"})
        finish = end.finish or "unknown"  # it ended all the same
        fate = LoggedEnd(
            self.first, self.reason, **told, finish=finish, preemptions=end.preemptions
        )
        return LogEntry(self.asked, fate)


class _Pairing:
    """Matches lines to requests by replica and id; clients may reuse an id."""

    def __init__(self) -> None:
        self.drafts: list[_Draft] = []
        self.orphans = 0
        self._open: dict[tuple[str, str], list[_Draft]] = {}
        self._clocks: dict[str, tuple[int, float]] = {}  # by replica: starts, latest instant

    def entries(self) -> tuple[LogEntry, ...]:
        return tuple(draft.entry() for draft in self.drafts)

    def take(self, line: DecisionLine | EndLine) -> None:
        if isinstance(line, EndLine):
            self._ended(line)
        else:
            self._decided(line)

    def _decided(self, line: DecisionLine) -> None:
        replica = self._start_of(line)
        mine = self._open.setdefault((replica, line.id), [])
        waiting = next((draft for draft in mine if draft.waiting), None)
        if waiting is not None and line.outcome is not Outcome.QUEUED:
            waiting.waiting, waiting.reason = False, line.reason
            if line.outcome is Outcome.REJECTED:
                mine.remove(waiting)
            return
        queued = line.outcome is Outcome.QUEUED and line.mode in (None, Mode.ENFORCE)
        draft = _Draft(_asked(line, replica), line.outcome, line.reason, queued)
        self.drafts.append(draft)
        if line.outcome is not Outcome.REJECTED or line.mode is not Mode.ENFORCE:
            mine.append(draft)  # more lines follow, or in the oldest logs may follow

    def _start_of(self, line: DecisionLine) -> str:
        """Its replica; for an unnamed one, a clock that goes back marks a new start."""
        starts, latest_s = self._clocks.get(line.replica, (1, line.mono_s))
        starts += line.mono_s < latest_s
        self._clocks[line.replica] = starts, line.mono_s
        return self._named(line.replica)

    def _named(self, replica: str) -> str:
        starts, _ = self._clocks.get(replica, (1, 0.0))
        return replica if starts == 1 else f"{replica}#{starts}"

    def _ended(self, line: EndLine) -> None:
        open_ones = self._open.get((self._named(line.replica), line.id), [])
        mine = [draft for draft in open_ones if draft.end is None]
        if not mine:
            self.orphans += 1
            return
        # with several of this id, an accepted one goes before one that shadow would have refused
        draft = min(mine, key=lambda each: each.reason is not None)
        draft.end, draft.waiting = line, False
        open_ones.remove(draft)


def _asked(line: DecisionLine, replica: str) -> Replayed:
    return Replayed(
        request_id=line.id,
        replica=replica,
        at_s=line.mono_s,
        day_s=line.at,
        tenant=line.tenant,
        priority=line.priority,
        prompt_tokens=line.prompt_tokens,
        cached_tokens=line.cached_tokens,
        prompts=line.prompts,
        sequences=line.sequences,
        max_tokens=line.max_tokens,
        known_length=line.known_length,
        predicted_tokens=line.predicted.q50,
        deadline_s=round(line.deadline_s, 6),  # a difference of two instants
        tpot_target_s=line.tpot_target_s,
        config_hash=line.config_hash,
        mode=line.mode,
        engine=line.engine,
    )
