"""Events of a running gateway, for its operator."""

import json
import os
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from serve.process.progress import Progress

COUNTS = "SLUICE_FAULT_COUNTS"  # variable: the file of counts, for the replicas' metrics
_KEPT = 100  # the last ones; each is one line


@dataclass(frozen=True, slots=True)
class Event:
    """One line of text and its time."""

    at: datetime
    text: str


class Fault(str):
    """A line about something that failed; faults are counted by `kind`."""

    kind: str
    __slots__ = ("kind",)

    def __new__(cls, kind: str, text: str) -> Self:
        """A fault with its line of text."""
        fault = super().__new__(cls, text)
        fault.kind = kind
        return fault


class Events:
    """Writes each event as a line to the output and, with its time, to `file`; keeps the last ones.

    `counts` is a JSON file with the number of faults of each kind.
    """

    def __init__(self, progress: Progress, file: Path, counts: Path | None = None) -> None:
        self._progress = progress
        self._file = file
        self._counts_file = counts
        self._counts: Counter[str] = Counter()
        self.last: deque[Event] = deque(maxlen=_KEPT)

    def tell(self, text: str) -> None:
        """Never raises: a full disk or a closed terminal is no reason to stop watching."""
        event = Event(datetime.now(UTC), " ".join(text.split()))
        self.last.append(event)
        self._progress.say(event.text)
        try:
            with self._file.open("a") as file:  # reopened each time: it may have been moved
                file.write(f"{event.at.isoformat(timespec='milliseconds')} {event.text}\n")
        except OSError:
            pass
        if isinstance(text, Fault):
            self._counts[text.kind] += 1
            self._write_counts()

    def _write_counts(self) -> None:
        """Writes to another file and renames it: a reader finds the old or the new counts."""
        if self._counts_file is None:
            return
        aside = self._counts_file.with_suffix(".new")
        try:
            aside.write_text(json.dumps(self._counts))
            os.replace(aside, self._counts_file)  # noqa: PTH105 - as atomic, and one call
        except OSError:
            pass
