"""The curves of a recovery as an SVG file's text."""

from collections.abc import Sequence

from loadtests.document.panels import Level, Panel, PanelLine, panels
from tests.bench.recovery_curves import WINDOW_S, Curves

_TITLES = {
    "steps": "Told that steps take half or double of what they take",
    "lengths": "Answers become twice as long half way",
}
_MOST = 3.0  # a belief that is further off is drawn here: what follows could not be read
_COLOURS = {1.0: 0, 0.5: 1, 2.0: 2}  # by what of the truth was told


def drawn(case: str, told: Sequence[Curves]) -> str:
    """Panels of one case over virtual seconds."""
    goodput = Panel("in time, 1/s", _lines(told, "goodput_per_s"))
    if case == "steps":
        first = Panel("believed / real", _lines(told, "step_ratio"), [Level("true", 1.0)])
        shown = [first, goodput]
    else:
        covered = Panel("within price", _lines(told[:1], "covered"))
        promised = Panel("of KV promised", _lines(told, "promised"))
        shown = [covered, promised, goodput]
    drawing = panels(shown, x_axis=f"virtual seconds; arrivals by {WINDOW_S:.0f} s")
    return drawing.in_file(f"recovery-{case}", _TITLES[case])


def _lines(told: Sequence[Curves], curve: str) -> list[PanelLine]:
    return [
        PanelLine(
            each.arm.name,
            [(at_s, min(value, _MOST)) for at_s, value in getattr(each, curve)],
            colour=3 if each.arm.knows else _COLOURS[each.arm.told],
            style="-" if each.arm.learns else ":",
        )
        for each in told
    ]
