"""Polls the state of the application from Serve's controller in a thread.

The thread blocks while the controller hangs; a reader of `state` never does.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from serve.process import bounded

_State = TypeVar("_State")


class Looks(Generic[_State]):
    """`state` is the last answer, None before the first; `silent_s` is how old it is.

    On exit an unanswered call gets `patience_s` more seconds.
    """

    def __init__(self, ask: Callable[[], _State], *, every_s: float, patience_s: float) -> None:
        self.state: _State | None = None
        self.every_s = every_s
        self._ask = ask
        self._patience_s = patience_s
        self._answered_at_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = bounded.in_background(self._run)

    @property
    def silent_s(self) -> float:
        """Seconds since the last answer, or since the start."""
        return time.monotonic() - self._answered_at_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(self._patience_s)

    def _run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(Exception):  # Ray raises many kinds; `silent_s` shows it
                self.state = self._ask()
                self._answered_at_s = time.monotonic()
            self._ended.wait(self.every_s)
