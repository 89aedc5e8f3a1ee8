"""Signals to `sluice serve`; their meaning depends on its phase."""

import signal
from types import FrameType

_ENDS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal during the start; a BaseException, so that no handler swallows it."""


class Signals:
    """While starting SIGINT and SIGTERM raise `Interrupted`; while serving all are noted.

    The first noted SIGINT or SIGTERM asks for a drain, the second for an end at once. SIGHUP asks
    for a reload and never for an end, since a closing terminal sends it.
    """

    def __init__(self) -> None:
        self._ends = 0
        self._reload = False
        self._raise = True
        self._nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN

    def install(self) -> None:
        """Installs the handlers; again after Ray has started, which takes SIGTERM for itself.

        Children inherit ignored signals: a closing terminal must not end Ray's processes.
        """
        for number in _ENDS:
            signal.signal(number, self._handle)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def note_only(self) -> None:
        """From here on the serving loop reads them."""
        self._raise = False
        self.install()
        if not self._nohup:
            signal.signal(signal.SIGHUP, self._handle)

    def ignore(self) -> None:
        """No signal may interrupt the shutdown, which takes seconds."""
        for number in (*_ENDS, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    @property
    def any(self) -> bool:
        """Whether an end is asked for."""
        return self._ends > 0

    @property
    def at_once(self) -> bool:
        """Whether running answers are to be cut."""
        return self._ends > 1

    def take_reload(self) -> bool:
        """Whether a SIGHUP has come since the last call."""
        asked, self._reload = self._reload, False
        return asked

    def _handle(self, number: int, _: FrameType | None) -> None:
        if number not in _ENDS:
            self._reload = True
            return
        self._ends += 1
        if self._raise:
            raise Interrupted
