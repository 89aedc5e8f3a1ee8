"""YAML with a comment after every value, as in the profiles in configs/."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

_COMMENT_COLUMN = 44
_LINE_COLUMNS = 104
_NARROWEST = 40  # columns left to a comment after a long value


@dataclass(frozen=True, slots=True)
class CommentedEntry:
    """One key of a section, dotted if nested; `why` explains the value."""

    key: str
    value: object
    why: str


def section(name: str, entries: Iterable[CommentedEntry]) -> str:
    """A section of a profile; a dotted key opens its own mapping."""
    lines, opened = [f"{name}:"], ""
    for entry in entries:
        above, _, key = entry.key.rpartition(".")
        if above and above != opened:
            lines.append(f"  {above}:")
        opened = above
        lines += _lines("    " if above else "  ", key, entry)
    return "\n".join(lines)


def comment(text: str) -> str:
    """The text as comment lines."""
    lines = textwrap.wrap(text, _LINE_COLUMNS - 2, break_on_hyphens=False)
    return "\n".join(f"# {line}" for line in lines)


def _lines(indent: str, key: str, entry: CommentedEntry) -> Iterator[str]:
    begun = f"{indent}{key}: {_scalar(entry.value)}"
    column = max(_COMMENT_COLUMN, len(begun) + 1)
    width = max(_NARROWEST, _LINE_COLUMNS - column - 2)
    first, *rest = textwrap.wrap(entry.why, width, break_on_hyphens=False)
    yield f"{begun:<{column}}# {first}"
    yield from (f"{'':<{column}}# {line}" for line in rest)


def _scalar(value: object) -> str:
    """The value on one line, quoted if YAML would read it as something else; 300, not 300.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    written: str = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return written.removesuffix("\n").removesuffix("...").rstrip()
