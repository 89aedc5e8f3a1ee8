"""Text in terminal columns: a Chinese character takes two."""

import re
import unicodedata

COLUMNS = 80
# What may not be torn apart: a word or one wide character, with the closing marks behind it.
_PIECES = re.compile(r"\s+|（?(?:[^\s\u2e80-\uffff]+|[\u2e80-\uffff])[，。；：、！？）」]*")
_LEAST = 20  # of a line is left to text, whatever stands before it
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


def wrapped(*paragraphs: str, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most 80 columns, broken between words; a word longer than a line is torn.

    Where `rest` leaves too little of a line, lines are longer.
    """
    end = max(COLUMNS, width(rest) + _LEAST)
    lines, most = [], end - width(rest)
    for paragraph in paragraphs:
        line = first
        for word in _PIECES.findall(paragraph):
            for piece in (word[at : at + most] for at in range(0, len(word), most)):
                if width(line + piece.rstrip()) > end and line.strip():
                    lines.append(line.rstrip())
                    line = rest
                line += piece if line.strip() or piece.strip() else ""
        lines.append(line.rstrip())
    return lines
