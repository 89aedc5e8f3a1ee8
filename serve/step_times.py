"""What the engine's steps took: the last of them, and the linear form they come to."""

from collections import deque
from dataclasses import asdict
from typing import Any

from admission.step_fit import StepFit, TimedStep, fit
from admission.step_line import StepCoefficients
from serve.sequences import EngineStep

KEPT = 2000  # steps; two minutes of decoding at 60 ms
COLUMNS = ("prefill", "decode", "running", "kv_used", "ms")


class StepTimes:
    """`prior` is the profile's `step_time`, if any; what is seen corrects it.

    The last `kept` steps count; None = all.
    """

    def __init__(
        self,
        capacity_tokens: int,
        prior: StepCoefficients | None = None,
        *,
        kept: int | None = KEPT,
    ) -> None:
        self._capacity_tokens = capacity_tokens
        self.prior = prior
        self._rows: deque[tuple[int, int, int, float, float]] = deque(maxlen=kept)
        self.fit: StepFit | None = None

    def note(self, step: EngineStep) -> None:
        """One step of the engine; one in which nothing was computed is left out."""
        if step.elapsed_s > 0 and (step.prefill_tokens or step.decode_tokens):
            self._rows.append(
                (
                    step.prefill_tokens,
                    step.decode_tokens,
                    len(step.running),
                    step.kv_used_ratio or 0.0,
                    step.elapsed_s * 1000,
                )
            )

    def correct(self) -> StepFit:
        """Fit the linear form to the steps that are kept: some 30 ms for all of them."""
        self.fit = fit(self.timed(), self.prior)
        return self.fit

    def timed(self) -> list[TimedStep]:
        """The steps that are kept, as records to fit."""
        return timed(tuple(self._rows), self._capacity_tokens)

    def rows(self) -> dict[str, Any]:
        """The steps that are kept, oldest first; KV used is a ratio, times are modelled ms."""
        return {
            "columns": COLUMNS,
            "capacity_tokens": self._capacity_tokens,
            "rows": [(*row[:3], round(row[3], 5), round(row[4], 3)) for row in self._rows],
        }

    def as_json(self) -> dict[str, Any]:
        """The fit, its error and what it began with; `fit` is null until there is one."""
        return {
            "steps": len(self._rows),
            "prior": None if self.prior is None else asdict(self.prior),
            "fit": None if self.fit is None else asdict(self.fit),
        }


def timed(rows: tuple[tuple[int, int, int, float, float], ...], capacity: int) -> list[TimedStep]:
    """Rows in the order of COLUMNS as the records that are fitted."""
    return [
        TimedStep(prefill, decode, round(kv_used * capacity), ms / 1000)
        for prefill, decode, _, kv_used, ms in rows
    ]
