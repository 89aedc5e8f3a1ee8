"""Tables as Markdown, with the machine and the day they were made on."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime

import psutil


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Day, cores, memory and processor, for the line above a table."""
    memory = psutil.virtual_memory().total / 2**30
    day = datetime.now(UTC).date()
    cores = psutil.cpu_count()
    return f"{day}, {cores} cores, {memory:.0f} GiB, {platform.machine()}, no GPU"
