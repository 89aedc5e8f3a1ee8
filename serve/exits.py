"""The exit codes of every command; `docs/commands.md` explains them to users."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command answers its caller with."""

    GOOD = 0  # done, it fits, the SLO is met; also help and versions
    NO = 1  # refused, does not fit, SLO missed; from `sluice serve`: a part was lost, start again
    BAD_INPUT = 2  # arguments or a file
    INVALID = 3  # a measurement that proves nothing
    DOWN = 4  # nothing answers, or the gateway could not start
    FAULT = 70  # a defect of Sluice: EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT, as shells count
