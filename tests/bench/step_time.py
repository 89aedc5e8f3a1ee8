"""Measured step times of others beside the model's, every row, bad ones included.

.venv/bin/python -m tests.bench.step_time
"""

from tests.admission.step_time_cases import Case, cases, median_error
from tests.bench.report import table


def main() -> None:
    """Print the table and the medians."""
    all_cases = cases()
    print(table(("row", "measured ms", "modelled ms", "error", "use", "note"), _rows(all_cases)))
    for use in ("fitted", "sound", "doubtful"):
        chosen = [case for case in all_cases if case.use == use and case.error_ratio is not None]
        print(f"\n{use}: median error {median_error(chosen):.1%} of {len(chosen)} rows")
    modelled = [case for case in all_cases if case.error_ratio is not None]
    print(f"\nall: median error {median_error(modelled):.1%} of {len(modelled)} rows")


def _rows(of: list[Case]) -> list[tuple[str, ...]]:
    return [
        (case.name, _ms(case.measured_s), _ms(case.modelled_s), _error(case), case.use, case.note)
        for case in of
    ]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.1f}"


def _error(case: Case) -> str:
    return "-" if case.error_ratio is None else f"{case.error_ratio:+.0%}"


if __name__ == "__main__":
    main()
