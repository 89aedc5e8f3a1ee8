"""Calls with a time limit: Ray's have none, or one that it does not keep."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_NAME = "asks Ray"


def call(function: Callable[[], _T], *, within_s: float) -> _T:
    """What `function` returns or raises; TimeoutError when it takes longer than `within_s`.

    It runs in a thread, which is abandoned on a timeout. Signals are handled meanwhile.
    """
    answers: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((function(), None))
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            answers.put((None, error))

    in_background(run)
    try:
        value, error = answers.get(timeout=within_s)
    except queue.Empty:
        raise TimeoutError(f"no answer within {within_s:g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value] # of type T, since there is no error


def in_background(run: Callable[[], None]) -> threading.Thread:
    """Starts a thread that may hang in Ray; `any_left` counts it."""
    thread = threading.Thread(target=run, name=_NAME, daemon=True)
    thread.start()
    return thread


def any_left() -> bool:
    """Whether such a thread still runs: then the interpreter cannot exit normally."""
    return any(thread.name == _NAME for thread in threading.enumerate())
