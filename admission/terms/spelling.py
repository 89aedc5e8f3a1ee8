"""Names that users type: how they are compared, and the error for an unknown one."""

import difflib
from collections.abc import Iterable

_LISTED = 12  # more would bury the sentence


class UnknownNameError(ValueError):
    """A name outside the known ones; the message gives the nearest of them, and the few there are.

    `remedy` says where to find them all, or what else would do.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], *, remedy: str = "") -> None:
        names = list(known)
        self.nearest = nearest(name, names)
        listed = ", ".join(names) if len(names) <= _LISTED else f"{len(names)} names"
        text = f"unknown {what} {name!r}; nearest known: {self.nearest}; known: {listed}"
        super().__init__(f"{text} ({remedy})" if remedy else text)


def plain(name: str) -> str:
    """Lower case without blanks, dashes, underscores and dots: how names are compared."""
    return "".join(c for c in name.lower() if c.isalnum() or c == "+")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`; shared beginnings count, so that "H80" finds "H100"."""
    wanted = plain(name)

    def likeness(candidate: str) -> float:
        return difflib.SequenceMatcher(None, wanted, plain(candidate)).ratio()

    return max(known, key=likeness)
