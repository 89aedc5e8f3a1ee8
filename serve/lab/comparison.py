"""Policies on one cell, side by side: the best setting of each, and what was possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serve.lab.catalogue import Variant
from serve.lab.jobs import Cell, Job, Result, best, run_all, workload_of
from serve.lab.summary import Row


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows in the order asked for. `oracle` is the most that any known schedule served."""

    cell: Cell
    left_out: int
    rows: tuple[Row, ...]
    oracle: Row | None = None

    def fraction(self, row: Row) -> float | None:
        """Goodput over the oracle's."""
        if self.oracle is None or not self.oracle.goodput_per_s:
            return None
        return row.goodput_per_s / self.oracle.goodput_per_s

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        cell, cut = self.cell, self.cell.cut
        rows = [*self.rows, *([self.oracle] if self.oracle else [])]
        return {
            "trace": str(cell.trace),
            "profile": str(cell.profile),
            "kv_tokens": cell.kv_tokens,
            "rate_scale": cut.rate_scale,
            "warm_up": cut.warm_up,
            "left_out": self.left_out,
            "ttft_s": cell.bounds.ttft_s,
            "tpot_s": cell.bounds.tpot_s,
            "rows": [row.as_json() | {"fraction_of_oracle": self.fraction(row)} for row in rows],
        }


def compare(
    cells: Sequence[Cell], variants: Mapping[str, Sequence[Variant]], *, processes: int
) -> list[Comparison]:
    """All policies on all cells."""
    jobs = [Job(cell, each) for cell in cells for tried in variants.values() for each in tried]
    results = run_all(jobs, processes=processes)
    return [_comparison(cell, variants, results) for cell in cells]


def _comparison(
    cell: Cell, variants: Mapping[str, Sequence[Variant]], results: Sequence[Result]
) -> Comparison:
    own = [result for result in results if result.job.cell == cell]
    rows = [
        best(result for result in own if result.job.variant in tried).row
        for tried in variants.values()
    ]
    return Comparison(cell, workload_of(cell.trace, cell.cut).left_out, tuple(rows))
