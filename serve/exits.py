"""The exit codes of every command, each with what it means to a user."""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """What a command answers its caller with; `meaning` goes into docs/reference/commands.md."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """A code and its meaning."""
        one = int.__new__(cls, code)
        one._value_ = code
        one.meaning = meaning
        return one

    GOOD = 0, "good: it fits, the SLO is met, done; also help and versions"
    NO = 1, "no: it does not fit, the SLO is missed, the gateway refused or lost a part it needs"
    BAD_INPUT = 2, "bad arguments or a bad file; standard error says what would be valid"
    INVALID = 3, "a measurement that is not valid: the client was too slow, the gateway was busy"
    DOWN = 4, "nothing answers at the URL, no gateway does, or the gateway could not start"
    FAULT = 70, "a fault of Sluice itself; the message names the file that holds the traceback"
    INTERRUPTED = 130, "interrupted with Ctrl-C"
