"""Progress of the runs in requests played, with an estimate of the time left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tqdm import tqdm

_BEATS_S = 1.0  # between redraws of the bar


class LabProgress:
    """A bar on stderr, or a line per run if stderr is not a terminal.

    `expect` announces requests; if more are begun than expected, the bar grows.
    """

    def __init__(self) -> None:
        self._bar = tqdm(unit="req", file=sys.stderr, disable=None, mininterval=_BEATS_S, total=0)
        self._lock = Lock()
        self._began_s = time.monotonic()
        self._expected = self._begun = self._done = 0

    def expect(self, requests: int) -> None:
        """Announces requests, over all runs."""
        with self._lock:
            self._expected += requests
            self._retotal()

    def begin(self, requests: int) -> None:
        """Counts the requests of runs that are about to begin."""
        with self._lock:
            self._begun += requests
            self._retotal()

    def done(self, requests: int, told: str) -> None:
        """Counts the requests of a run that ended; `told` describes it."""
        with self._lock:
            self._done += requests
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update(requests)
            if self._bar.disable:
                sys.stderr.write(f"{told}; {self._share():.0%}, about {self._left()} left\n")

    def _retotal(self) -> None:
        self._bar.total = max(self._expected, self._begun)

    def _share(self) -> float:
        return self._done / max(1, self._expected, self._begun)

    def _left(self) -> str:
        spent_s = time.monotonic() - self._began_s
        left_s = spent_s * (1 / self._share() - 1)
        return f"{left_s / 60:.0f} min" if left_s > 90 else f"{left_s:.0f} s"  # noqa: PLR2004

    def close(self) -> None:
        """Closes the bar and leaves it on the terminal."""
        self._bar.close()


@contextmanager
def progress() -> Iterator[LabProgress]:
    """A progress bar for a block of runs."""
    shown = LabProgress()
    try:
        yield shown
    finally:
        shown.close()
