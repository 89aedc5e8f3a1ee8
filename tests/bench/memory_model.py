"""The memory model against real start-up logs: errors of KV tokens by class, and every outlier.

(1) given the logged available memory, (2) from model, card and arguments alone; each by layout,
quantisation and release. `held out`: the constants are fitted to the logs of even number and tried
on the odd ones, and the other way round. Absolute errors in per cent.

    .venv/bin/python -m tests.bench.memory_model
"""

from collections.abc import Callable, Iterable, Mapping

from tests.admission.planning.memory_cases import (
    Error,
    cases,
    error_from_scratch,
    error_given_memory,
    summary,
)
from tests.admission.planning.memory_fit import held_out_errors
from tests.admission.planning.memory_outliers import (
    FROM_SCRATCH,
    GIVEN_MEMORY,
    NOT_PREDICTABLE,
    predictable,
)

_HEAD = f"{'':28}{'rows':>6}{'median':>9}{'p90':>9}{'worst':>9}{'in range':>10}"


def main() -> None:
    """Prints all tables."""
    given = [e for case in cases() if (e := error_given_memory(case))]
    scratch = [e for case in predictable() if (e := error_from_scratch(case))]
    _table("(1) given the logged available memory", given)
    _outliers(given, 0.01, GIVEN_MEMORY)
    _table("(2) from scratch, all rows", scratch)
    stated = [e for e in scratch if e.case.states_what_decides]
    _table("(2) from scratch, rows that state card, TP, utilization and release", stated)
    _outliers(scratch, 0.08, FROM_SCRATCH)
    print("\nnot predictable, in no number above:")
    for name, reason in NOT_PREDICTABLE.items():
        print(f"  {name}  {reason}")
    held = held_out_errors()
    print("\n(2) as above, constants fitted to the other half of the logs\n" + _HEAD)
    _row("dense, stated", [e for e in held if e.layout_class == "dense"])
    _row("all, stated", held)


def _table(title: str, errors: list[Error]) -> None:
    print(f"\n{title}\n{_HEAD}")
    _row("all", errors)
    for kind in ("dense", "moe", "mla", "sliding", "hybrid"):
        _row(kind, (e for e in errors if e.layout_class == kind))
    _groups(errors, lambda e: e.case.figures["quantization"] or "(not stated)")
    _groups(errors, lambda e: "vLLM " + _release(e.case.figures["vllm_version"]))


def _release(version: str) -> str:
    return ".".join(version.split(".")[:2]) if version else "(not stated)"


def _groups(errors: list[Error], key: Callable[[Error], str]) -> None:
    names = {key(e): None for e in errors}
    for name in sorted(names):
        _row(name, (e for e in errors if key(e) == name))


def _row(name: str, errors: Iterable[Error]) -> None:
    kept = list(errors)
    if not kept:
        return
    s = summary(kept)
    print(f"{name:28}{s.rows:6}{s.median:9.2f}{s.p90:9.2f}{s.worst:9.2f}{s.inside:10.0%}")


def _outliers(errors: list[Error], beyond: float, reasons: Mapping[str, str]) -> None:
    print(f"outliers beyond {beyond:.0%}:")
    for e in errors:
        if abs(e.ratio) > beyond:
            print(f"  {e.case.id} {e.layout_class:8}{e.ratio:+8.1%}  {reasons[e.case.id]}")


if __name__ == "__main__":
    main()
