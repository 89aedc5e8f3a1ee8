"""Numbers as they are shown."""

import math


def seconds_text(seconds: float) -> str:
    """Three digits and a unit; "never" for infinity."""
    if not math.isfinite(seconds):
        return "never"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def share(ratio: float) -> str:
    """As percent with one digit; what rounds to 100 % and is less says so."""
    return f"{min(ratio, 0.999) if ratio < 1 else 1:.1%}"


def rate(per_s: float) -> str:
    """Three digits, whole from a hundred on."""
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"  # noqa: PLR2004 - three digits
