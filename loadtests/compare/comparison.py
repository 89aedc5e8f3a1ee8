"""Compares two arms: load, differences, configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.compare.arm import Arm
from loadtests.compare.load import Load, compare_load
from loadtests.compare.separate import Difference, Separation, separate
from loadtests.report.conditions import flat

_NO_CONFIGURATION = (
    "cost",
    "time_scale",
    "simulated",
    "config",
    "notes",
)  # measured, asked, or a hash
Change = tuple[str, str | None, str | None]  # name, first value, second value; None = missing


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two compared arms. `changes`: model, mode, versions, engine and admission settings."""

    first: Arm
    second: Arm
    load: Load
    separation: Separation
    changes: Sequence[Change]

    @property
    def sentence(self) -> str:
        """The comparison in one sentence."""
        said = [f"{each.letter} is invalid" for each in (self.first, self.second) if each.flaws]
        if not self.load.same:
            said.append("not the same load")
        return "; ".join([*said, _who(self)])

    def better_in(self, sign: int) -> list[str]:
        """Metrics in which the second (1) or the first (-1) is better."""
        return [each.metric for each in self.separation.differences if each.better == sign]


def compare(first: Arm, second: Arm) -> Comparison:
    """Compares the second arm with the first."""
    load = compare_load(first, second)
    changes = _changes(first, second)
    return Comparison(first, second, load, separate(first, second, load), changes)


def _who(found: Comparison) -> str:
    ways = ((found.second, found.better_in(1)), (found.first, found.better_in(-1)))
    said = [f"{arm.letter} is better in {', '.join(names)}" for arm, names in ways if names]
    if said:
        return "; ".join(said)
    return f"{found.first.letter} and {found.second.letter} cannot be told apart"


def _changes(first: Arm, second: Arm) -> list[Change]:
    one, other = (_configuration(arm) for arm in (first, second))
    names = dict.fromkeys([*one, *other])
    return [
        (name, _text(one, name), _text(other, name))
        for name in names
        if one.get(name) != other.get(name) or (name in one) != (name in other)
    ]


def _configuration(arm: Arm) -> dict[str, Any]:
    endpoint = flat(arm.about["endpoint"])
    return {
        name: value
        for name, value in endpoint.items()
        if name.partition(".")[0] not in _NO_CONFIGURATION
    }


def _text(values: Mapping[str, Any], name: str) -> str | None:
    return str(values[name]) if name in values else None


def as_json(arms: Sequence[Arm], found: Sequence[Comparison]) -> dict[str, Any]:
    """The comparisons with stable keys."""
    return {
        "v": 1,
        "arms": [_arm(each) for each in arms],
        "comparisons": [_comparison(each) for each in found],
    }


def _arm(each: Arm) -> dict[str, Any]:
    about = each.about
    endpoint = about["endpoint"]
    return {
        "arm": each.letter,
        "file": each.file,
        "run": about.get("run"),
        "at": about.get("at"),
        "load": about.get("load"),
        "scenario": about["scenario"],
        "mode": endpoint["mode"],
        "config": endpoint.get("config"),
        "requests": len(each.records),
        "flaws": list(each.flaws),
    }


def _comparison(each: Comparison) -> dict[str, Any]:
    return {
        "arms": [each.first.letter, each.second.letter],
        "sentence": each.sentence,
        "same_load": {
            "same": each.load.same,
            "requests": each.load.requests,
            "arrivals": each.load.arrivals,
            "asked_differently": [_changed(*fact) for fact in each.load.facts],
        },
        "paired": each.separation.paired,
        "block_requests": each.separation.block,
        "differences": [_difference(one, each) for one in each.separation.differences],
        "changes": [_changed(*change) for change in each.changes],
    }


def _difference(one: Difference, of: Comparison) -> dict[str, Any]:
    better = {1: of.second.letter, -1: of.first.letter, 0: None}[one.better]
    return asdict(one) | {"better": better}


def _changed(what: str, first: str | None, second: str | None) -> dict[str, str | None]:
    return {"what": what, "first": first, "second": second}
