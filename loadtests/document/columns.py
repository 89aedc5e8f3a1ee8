"""Text in terminal columns: a Chinese character takes two."""

import re
import unicodedata

COLUMNS = 80
# What may not be torn apart: a word or one wide character, with the closing marks behind it.
_PIECES = re.compile(r"\s+|（?(?:[^\s\u2e80-\uffff]+|[\u2e80-\uffff])[，。；：、！？）」]*")
_MORE = "..."


def width(text: str) -> int:
    """Columns that the text takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def left(text: str, columns: int) -> str:
    """The text with blanks behind it; as it is where it is too wide."""
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    """The text with blanks before it; as it is where it is too wide."""
    return " " * (columns - width(text)) + text


def cut(text: str, columns: int) -> str:
    """The text where it fits, else its begin and three dots."""
    if width(text) <= columns:
        return text
    while width(text + _MORE) > columns:
        text = text[:-1]
    return text + _MORE


def wrapped(*paragraphs: str, first: str = "", rest: str = "", columns: int = COLUMNS) -> list[str]:
    """Lines of at most so many columns; a word without a blank, as a path, is not torn."""
    lines = []
    for paragraph in paragraphs:
        line = first
        for piece in _PIECES.findall(paragraph):
            if width(line + piece.rstrip()) > columns and line.strip():
                lines.append(line.rstrip())
                line = rest
            line += piece if line.strip() or piece.strip() else ""
        lines.append(line.rstrip())
    return lines
