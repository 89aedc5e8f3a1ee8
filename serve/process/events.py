"""What happens to a gateway while it serves, for its operator."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve.process.progress import Progress

_KEPT = 100  # the last ones; each is about a fault, and a line


@dataclass(frozen=True, slots=True)
class Event:
    """One line of text and when it was told."""

    at: datetime
    text: str


class Events:
    """Each is one line in the output, one with its time in `file`, and is kept for a while."""

    def __init__(self, progress: Progress, file: Path) -> None:
        self._progress = progress
        self._file = file
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
