"""What happens to a gateway while it serves, for its operator."""

import json
import os
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from serve.process.progress import Progress

COUNTS = "SLUICE_FAULT_COUNTS"  # names the file of counts to replicas, which show them as metrics
_KEPT = 100  # the last ones; each is about a fault, and a line


@dataclass(frozen=True, slots=True)
class Event:
    """One line of text and when it was told."""

    at: datetime
    text: str


class Fault(str):
    """A line about something that failed; faults are counted by `kind`."""

    kind: str
    __slots__ = ("kind",)

    def __new__(cls, kind: str, text: str) -> Self:
        """`text` as it is told."""
        fault = super().__new__(cls, text)
        fault.kind = kind
        return fault


class Events:
    """Each is one line in the output, one with its time in `file`, and is kept for a while.

    With `counts` that file holds how many faults of each kind there were, as JSON.
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
            with self._file.open("a") as file:  # opened anew each time: it may be moved away
                file.write(f"{event.at.isoformat(timespec='milliseconds')} {event.text}\n")
        except OSError:
            pass
        if isinstance(text, Fault):
            self._counts[text.kind] += 1
            self._write_counts()

    def _write_counts(self) -> None:
        """Written aside and renamed: a reader finds the old counts or the new ones."""
        if self._counts_file is None:
            return
        aside = self._counts_file.with_suffix(".new")
        try:
            aside.write_text(json.dumps(self._counts))
            os.replace(aside, self._counts_file)  # noqa: PTH105 - as atomic, and one call
        except OSError:
            pass
