"""A log of JSON lines that never makes a request wait: written by a thread behind a queue."""

import json
import logging
import queue
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

_log = logging.getLogger(__name__)

QUEUE_LINES = 10_000  # some seconds of the busiest service; more means that the disk stands still
_CLOSE_TIMEOUT_S = 5.0  # a disk that stands still must not keep the service from ending


class JsonLines:
    """One JSON object a line, to standard output ("-") or appended to a file.

    When the queue is full lines are dropped and counted in `dropped`; the service goes on.
    Raises OSError when the file cannot be opened.
    """

    def __init__(self, destination: str, *, queue_lines: int = QUEUE_LINES) -> None:
        self._out: TextIO = _open(destination)
        self._lines: queue.Queue[Mapping[str, Any] | None] = queue.Queue(queue_lines)
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="json-lines", daemon=True)
        self._thread.start()

    def write(self, line: Mapping[str, Any]) -> None:
        """Queues `line`; returns at once."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Writes what is queued and closes the file."""
        self._lines.put(None)
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._out.write(json.dumps(line, default=str) + "\n")
                if self._lines.empty():  # one flush for a burst of lines
                    self._out.flush()
            except (OSError, TypeError, ValueError) as error:
                self.dropped += 1
                _log.warning("A log line was not written: %s", error)
        self._out.flush()
        if self._out is not sys.stdout:
            self._out.close()


def _open(destination: str) -> TextIO:
    if destination == "-":
        return sys.stdout
    return Path(destination).open("a", encoding="utf-8")
