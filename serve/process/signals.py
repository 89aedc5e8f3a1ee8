"""What a signal means to `sluice serve`: depends on what it is doing."""

import signal
from types import FrameType

_KNOWN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal came while nothing was served yet; BaseException, so that nobody swallows it."""


class Signals:
    """While starting a signal raises `Interrupted`; while serving it is noted; at the end ignored.

    The first noted SIGTERM asks for a drain. Anything else, or more, asks for an end at once:
    nobody who presses Ctrl-C or closes the terminal wants to wait for other people's answers.
    """

    def __init__(self) -> None:
        self._noted: list[int] = []
        self._raise = True

    def install(self) -> None:
        """Takes the signals; again after Ray started, which takes SIGTERM for itself."""
        for number in _KNOWN:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup
            signal.signal(number, self._handle)

    def note_only(self) -> None:
        """From here on the serving loop looks at them."""
        self._raise = False
        self.install()

    def ignore(self) -> None:
        """The end has begun and takes seconds: no signal may stop it half way."""
        for number in _KNOWN:
            signal.signal(number, signal.SIG_IGN)

    @property
    def any(self) -> bool:
        """Whether somebody wants us to end."""
        return bool(self._noted)

    @property
    def at_once(self) -> bool:
        """Whether running answers are to be cut."""
        return self._noted not in ([], [signal.SIGTERM])

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._noted.append(number)
        if self._raise:
            raise Interrupted
