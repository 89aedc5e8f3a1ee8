"""The format of a plan's numbers; the same in every language."""

from admission.planning.memory.estimate import GIB, Estimate

_TWICE = 1.0  # an error from here on is shown as a multiple


def whole(number: float | None) -> str:
    """A count; `?` if the card's speed is unknown."""
    return "?" if number is None else f"{number:.0f}"


def rate(number: float | None) -> str:
    """Requests a second; `?` if the card's speed is unknown."""
    return "?" if number is None else f"{number:.2f}"


def sign(part: Estimate) -> str:
    """`=` for an exact number, `~` for an estimate."""
    return "=" if part.exact else "~"


def gib(part: Estimate) -> str:
    """The expected value, in GiB."""
    return f"{part.expected / GIB:.2f}"


def gib_ends(part: Estimate) -> tuple[str, str]:
    """The ends of a range, in GiB."""
    return f"{part.low / GIB:.2f}", f"{part.high / GIB:.2f}"


def error(ratio: float | None) -> str:
    """`+1 %`, `-41 %`, `x2.4`; `-` if there is nothing to compare with."""
    if ratio is None:
        return "-"
    return f"x{ratio + 1:.1f}" if ratio >= _TWICE else f"{ratio * 100:+.0f} %"
