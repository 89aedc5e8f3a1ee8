"""The curves of a recovery as an SVG file's text."""

from collections.abc import Sequence

from loadtests.report.panels import Level, Line, Panel, panels
from tests.bench.recovery_curves import WINDOW_S, Curves

_TITLES = {
    "steps": "Told that steps take half or double of what they take",
    "lengths": "Answers become twice as long half way",
}


def drawn(case: str, told: Sequence[Curves]) -> str:
    """Panels of one case over virtual seconds."""
    goodput = Panel(f"in time, 1/s\nby {WINDOW_S:.0f} s", _lines(told, "goodput_per_s"))
    if case == "steps":
        first = Panel("believed /\nreal step", _lines(told, "step_ratio"), [Level("true", 1.0)])
        shown = [first, goodput]
    else:
        covered = Panel("answers within\ntheir price", _lines(told[:1], "covered"))
        promised = Panel("promised share\nof the KV", _lines(told, "promised"))
        shown = [covered, promised, goodput]
    drawing = panels(shown, x_axis="virtual seconds")
    return drawing.in_file(f"recovery-{case}", _TITLES[case])


def _lines(told: Sequence[Curves], curve: str) -> list[Line]:
    return [
        Line(
            each.arm.name,
            getattr(each, curve),
            colour=place,
            style="-" if each.arm.learns else "--",
            faint=not each.arm.learns,
        )
        for place, each in enumerate(told)
    ]
