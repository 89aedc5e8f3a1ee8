"""The time of day for operators."""

import datetime


def wall_time() -> str:
    """Now, ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
