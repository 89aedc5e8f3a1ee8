"""A comparison for a terminal of 80 columns."""

from collections.abc import Iterator, Sequence

from loadtests.compare.arm import Arm
from loadtests.compare.comparison import Comparison
from loadtests.compare.load import Alike
from loadtests.compare.separate import DRAWS, Difference
from loadtests.report.numbers import rate, seconds_text, share

_COLUMNS = 80
_NOT_KNOWN = "-"
_LOAD = {
    Alike.SAME: "the same, one by one",
    Alike.ONE_DISTRIBUTION: "not the same, but of one distribution (KS test, 5 %)",
    Alike.DIFFERENT: "different",
    Alike.UNKNOWN: "not recorded",
}


def text(arms: Sequence[Arm], found: Sequence[Comparison]) -> str:
    """Each arm against the first, the sentences first."""
    lines = [f"{each.sentence}" for each in found]
    lines += ["", *(_arm(each) for each in arms)]
    for each in found:
        lines += ["", *_lines(each)]
    return "\n".join(_cut(line) for line in lines)


def _lines(found: Comparison) -> Iterator[str]:
    first, second = found.first.letter, found.second.letter
    yield f"{first} and {second}: same load? {'yes' if found.load.same else 'NO'}"
    yield f"  requests  {_LOAD[found.load.requests]}"
    if found.first.is_open:
        yield f"  arrivals  {_LOAD[found.load.arrivals]}"
    for what, one, other in found.load.facts:
        yield f"  {what}: {one} -> {other}"
    yield ""
    yield from _separation(found)
    yield ""
    if not found.changes:
        yield "No change in the configuration, as far as the endpoints tell."
        return
    yield "What changed in the configuration?"
    for what, old, new in found.changes:
        yield from _change(what, old or "not there", new or "not there")


def _separation(found: Comparison) -> Iterator[str]:
    first, second = found.first.letter, found.second.letter
    yield f"Do they separate? {_how(found)}"
    yield _row("", first, second, f"{second} - {first}", "95 % interval", "better")
    for each in found.separation.differences:
        better = {1: second, -1: first, 0: "no telling"}[each.better]
        yield _row(each.metric, *_values(each), better)


def _how(found: Comparison) -> str:
    block = found.separation.block
    if not block:
        return "limits do where their intervals have no number in common"
    pairs = "pairs" if found.separation.paired else "requests"
    return f"{DRAWS:,} draws of blocks of {block} {pairs}"


def _row(*cells: str) -> str:
    name, one, other, difference, interval, better = cells
    return f"  {name:<9} {one:>9} {other:>9} {difference:>10} {interval:>22}  {better}"


def _values(each: Difference) -> list[str]:
    told = [_NOT_KNOWN if v is None else _value(v, each.unit) for v in (each.first, each.second)]
    if each.first is None or each.second is None or each.low is None or each.high is None:
        return [*told, _NOT_KNOWN, _NOT_KNOWN]
    low, high = _signed(each.low, each.unit), _signed(each.high, each.unit)
    return [*told, _signed(each.second - each.first, each.unit), f"{low} to {high}"]


def _value(value: float, unit: str) -> str:
    if unit == "ratio":
        return share(value)
    if unit == "s":
        return seconds_text(value)
    return rate(value) if unit == "per_s" else f"{value:g}"


def _signed(value: float, unit: str) -> str:
    """Shares in points of a hundred."""
    sign = "-" if value < 0 else "+"
    if unit == "ratio":
        return f"{sign}{abs(value) * 100:.1f}"
    return sign + _value(abs(value), unit)


def _arm(each: Arm) -> str:
    about = each.about
    told = f"{about['scenario']}, {about.get('load', '')}, mode {about['endpoint']['mode']}"
    flaws = f"; INVALID: {'; '.join(each.flaws)}" if each.flaws else ""
    return f"{each.letter}  {each.file}: {told}{flaws}"


def _change(what: str, old: str, new: str) -> Iterator[str]:
    """In one line where it fits."""
    line = f"  {what}: {old} -> {new}"
    if len(line) <= _COLUMNS:
        yield line
    else:
        yield from (f"  {what}:", f"    {old}", f"    -> {new}")


def _cut(line: str) -> str:
    return line if len(line) <= _COLUMNS else line[: _COLUMNS - 3] + "..."
