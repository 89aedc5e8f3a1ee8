"""A log of JSON lines that never makes a request wait: written by a thread behind a queue."""

import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Any

from serve.observability.log_file import LogFile, Sink, StandardOutput

_log = logging.getLogger("sluice.logs")

QUEUE_LINES = 10_000  # some seconds of the busiest service; more means that the disk stands still
_BURST_LINES = 500  # written at once
_CLOSE_TIMEOUT_S = 5.0  # a disk that stands still must not keep the service from ending
_CALM_S = 2.0  # without a loss, after which losing lines is said to be over


class _Order(Enum):
    REOPEN = auto()
    CLOSE = auto()


class JsonLines:
    """One JSON object a line, to standard output ("-") or appended to a file.

    A line that finds the queue full or that cannot be written is lost: counted in `dropped` and
    told to `on_lost`, from any thread; the service goes on. The log says once that lines are being
    lost, and once that it is over. `max_bytes` and `kept` as for `LogFile`.
    Raises OSError when the file cannot be opened.
    """

    def __init__(
        self,
        destination: str,
        *,
        max_bytes: int = 0,
        kept: int = 0,
        queue_lines: int = QUEUE_LINES,
        on_lost: Callable[[int], None] = lambda _: None,
        calm_s: float = _CALM_S,
    ) -> None:
        self._out: Sink = (
            StandardOutput()
            if destination == "-"
            else LogFile(Path(destination), max_bytes=max_bytes, kept=kept)
        )
        self._lines: queue.Queue[Mapping[str, Any] | _Order] = queue.Queue(queue_lines)
        self._losses = _Losses(destination, on_lost, calm_s)
        self._reopening = threading.Event()
        self._thread = threading.Thread(target=self._work, name="json-lines", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were lost since the start."""
        return self._losses.count

    def write(self, line: Mapping[str, Any]) -> None:
        """Queues `line`; returns at once."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            begins = self._losses.add(1)
            if begins:  # in a thread of its own: the log may be on the disk that stands still
                threading.Thread(
                    target=self._losses.say_that_it_begins,
                    args=("they come faster than they are written",),
                    daemon=True,
                ).start()

    def reopen(self) -> None:
        """From the next line on writes to the file that has the name then; returns at once."""
        self._reopening.set()
        with contextlib.suppress(queue.Full):  # the thread is awake, then
            self._lines.put_nowait(_Order.REOPEN)

    def close(self) -> None:
        """Writes what is queued and closes the file. Twice does nothing."""
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._lines.put(_Order.CLOSE, timeout=_CLOSE_TIMEOUT_S)
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _work(self) -> None:
        while self._write_burst():
            pass
        self._out.close()

    def _write_burst(self) -> bool:
        """Waits for a line and writes it with those behind it; False when it is time to close."""
        texts: list[bytes] = []
        lost, why, closing = 0, None, False
        with contextlib.suppress(queue.Empty):
            line = self._lines.get(timeout=self._losses.patience_s)
            while not (closing := line is _Order.CLOSE):
                try:
                    texts += _text(line)
                except (TypeError, ValueError, RecursionError) as error:
                    lost, why = lost + 1, str(error)
                if len(texts) == _BURST_LINES:
                    break
                line = self._lines.get_nowait()
        self._reopen_if_told()
        if texts:
            written, failure = self._out.append(texts)
            lost += len(texts) - written
            why = why if failure is None else str(failure)
        self._losses.note(lost, why, whether_written=bool(texts))
        return not closing

    def _reopen_if_told(self) -> None:
        if not self._reopening.is_set():
            return
        self._reopening.clear()
        try:
            self._out.reopen()
        except OSError as error:
            _log.warning("%s could not be opened anew: %s", self._losses.name, error)


def _text(line: Mapping[str, Any] | _Order) -> list[bytes]:
    """The line as it is written; nothing for an order."""
    return [] if isinstance(line, _Order) else [json.dumps(line, default=str).encode() + b"\n"]


class _Losses:
    """Counts lines that are lost, and says when it begins and when it is over."""

    def __init__(self, name: str, on_lost: Callable[[int], None], calm_s: float) -> None:
        self.name = name
        self.count = 0
        self._on_lost = on_lost
        self._calm_s = calm_s
        self._lock = threading.Lock()
        self._since: int | None = None  # the count when losing began; None = none is being lost
        self._last_at_s = 0.0
        self._written_since = False

    @property
    def patience_s(self) -> float | None:
        """How long to wait for a line before `look`."""
        return None if self._since is None else self._calm_s

    def add(self, lines: int) -> bool:
        """Returns whether losing begins with these."""
        with self._lock:
            begins = self._since is None
            if begins:
                self._since = self.count
            self.count += lines
            self._last_at_s = time.monotonic()
            self._written_since = False
        self._on_lost(lines)
        return begins

    def note(self, lost: int, why: str | None, *, whether_written: bool) -> None:
        """One burst. Says that losing begins, or that it is over: none was lost for a while."""
        if lost and self.add(lost):
            self.say_that_it_begins(why)
        with self._lock:
            self._written_since |= whether_written and not lost
            calm = self._written_since and time.monotonic() - self._last_at_s >= self._calm_s
            if self._since is None or not calm:
                return
            total, self._since = self.count - self._since, None
        _log.warning("Lines of %s are written again; %d were lost", self.name, total)

    def say_that_it_begins(self, why: str | None) -> None:
        """One warning."""
        _log.warning("Lines of %s are being lost: %s", self.name, why)
