"""Progress of a start: one line per step, with the seconds it has taken."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_REDRAW_S = 1.0  # on a terminal
_REPEAT_S = 10.0  # in a file or a container's log


class Progress:
    """Writes to `out`; redraws the line of the step on a terminal, else repeats it now and then."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._terminal = out.isatty()

    def say(self, text: str) -> None:
        """Writes one line."""
        self._write(f"{text}\n")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Shows `text` and the seconds since it began until the block ends."""
        began_s, done = time.monotonic(), threading.Event()
        ticker = threading.Thread(target=self._tick, args=(text, began_s, done), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            done.set()
            ticker.join()
            self._show(text, time.monotonic() - began_s)
            if self._terminal:
                self.say("")

    def _tick(self, text: str, began_s: float, done: threading.Event) -> None:
        if not self._terminal:
            self.say(f"{text}…")
        while not done.wait(_REDRAW_S if self._terminal else _REPEAT_S):
            self._show(text, time.monotonic() - began_s)

    def _show(self, text: str, elapsed_s: float) -> None:
        line = f"{text}… {elapsed_s:.0f} s"
        if self._terminal:
            self._write(f"\r{line}")
        else:
            self.say(line)

    def _write(self, text: str) -> None:
        """Ignores errors: the gateway outlives a closed terminal or pipe."""
        with suppress(OSError):
            self._out.write(text)
            self._out.flush()
