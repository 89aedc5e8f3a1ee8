"""A comparison as text: the sentences first, then load, differences, configuration."""

from collections.abc import Sequence

from loadtests.compare.arm import Arm
from loadtests.compare.comparison import Comparison
from loadtests.compare.load import Alike
from loadtests.compare.separate import DRAWS, Difference
from loadtests.document.document import Document, Section, Table
from loadtests.report.numbers import rate, seconds_text, share

_NOT_KNOWN = "-"
_LOAD = {
    Alike.SAME: "the same, one by one",
    Alike.ONE_DISTRIBUTION: "not the same, but of one distribution (KS test, 5 %)",
    Alike.DIFFERENT: "different",
    Alike.UNKNOWN: "not recorded",
}


def document(arms: Sequence[Arm], found: Sequence[Comparison]) -> Document:
    """The comparison of each arm with the first."""
    sections = [Section("", [Table((), "ll", [[each.letter, _arm(each)] for each in arms])])]
    for each in found:
        sections += [_same_load(each), _separation(each), _changes(each)]
    return Document([each.sentence for each in found], sections)


def _same_load(found: Comparison) -> Section:
    load = found.load
    rows = [["requests", _LOAD[load.requests]]]
    if found.first.is_open:
        rows.append(["arrivals", _LOAD[load.arrivals]])
    rows += [[what, f"{one} -> {other}"] for what, one, other in load.facts]
    pair = f" {found.first.letter} and {found.second.letter}: {'yes' if load.same else 'NO'}"
    return Section("Same load?", [Table((), "ll", rows)], pair)


def _separation(found: Comparison) -> Section:
    first, second = found.first.letter, found.second.letter
    better = {1: second, -1: first, 0: "no telling"}
    rows = [
        [each.metric, *_values(each), better[each.better]] for each in found.separation.differences
    ]
    head = ["metric", first, second, f"{second} - {first}", "95 % interval", "better"]
    return Section("Do they separate?", [Table(head, "lrrrrl", rows)], f" {_how(found)}")


def _changes(found: Comparison) -> Section:
    title = "What changed in the configuration?"
    if not found.changes:
        return Section(title, [], " Nothing, as far as the endpoints tell.")
    rows = [
        [what, f"{old or 'not there'} -> {new or 'not there'}"] for what, old, new in found.changes
    ]
    return Section(title, [Table((), "ll", rows)])


def _how(found: Comparison) -> str:
    block = found.separation.block
    if not block:
        return "limits do where their intervals have no number in common"
    pairs = "pairs" if found.separation.paired else "requests"
    return f"{DRAWS:,} draws of blocks of {block} {pairs}"


def _values(each: Difference) -> list[str]:
    values = [_NOT_KNOWN if v is None else _value(v, each.unit) for v in (each.first, each.second)]
    if each.first is None or each.second is None or each.low is None or each.high is None:
        return [*values, _NOT_KNOWN, _NOT_KNOWN]
    low, high = _signed(each.low, each.unit), _signed(each.high, each.unit)
    return [*values, _signed(each.second - each.first, each.unit), f"{low} to {high}"]


def _value(value: float, unit: str) -> str:
    if unit == "ratio":
        return share(value)
    if unit == "s":
        return seconds_text(value)
    return rate(value) if unit == "per_s" else f"{value:g}"


def _signed(value: float, unit: str) -> str:
    """The value with its sign; shares in percentage points."""
    sign = "-" if value < 0 else "+"
    if unit == "ratio":
        return f"{sign}{abs(value) * 100:.1f}"
    return sign + _value(abs(value), unit)


def _arm(each: Arm) -> str:
    about = each.about
    load = f"{about['scenario']}, {about.get('load', '')}, mode {about['endpoint']['mode']}"
    flaws = f"; INVALID: {'; '.join(each.flaws)}" if each.flaws else ""
    return f"{each.file}: {load}{flaws}"
