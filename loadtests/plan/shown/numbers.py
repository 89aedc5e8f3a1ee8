"""How a plan's numbers are written; the same in every language."""

from admission.planning.memory.estimate import GIB, Estimate

_TWICE = 1.0  # from here on an error is told as a multiple


def whole(number: float | None) -> str:
    """A count; `?` where the card's speed is unknown."""
    return "?" if number is None else f"{number:.0f}"


def rate(number: float | None) -> str:
    """Requests a second; `?` where the card's speed is unknown."""
    return "?" if number is None else f"{number:.2f}"


def sign(part: Estimate) -> str:
    """Whether it is computed or estimated."""
    return "=" if part.exact else "~"


def gib(part: Estimate) -> str:
    """What is expected, in GiB."""
    return f"{part.expected / GIB:.2f}"


def gib_ends(part: Estimate) -> tuple[str, str]:
    """The ends of a range, in GiB."""
    return f"{part.low / GIB:.2f}", f"{part.high / GIB:.2f}"


def error(ratio: float | None) -> str:
    """`+1 %`, `-41 %`, `x2.4`; `-` where there is nothing to compare with."""
    if ratio is None:
        return "-"
    return f"x{ratio + 1:.1f}" if ratio >= _TWICE else f"{ratio * 100:+.0f} %"
