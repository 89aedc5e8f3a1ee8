"""What the engine's steps took: the last of them, for `sluice calibrate` and whoever looks."""

from collections import deque
from typing import Any

from admission.speed.step_fit import TimedStep
from serve.engine_step import EngineStep

KEPT = 2000  # steps; two minutes of decoding at 60 ms
COLUMNS = ("prefill", "decode", "running", "kv_used", "ms")


class StepTimes:
    """The last `kept` steps; None = all."""

    def __init__(self, capacity_tokens: int, *, kept: int | None = KEPT) -> None:
        self._capacity_tokens = capacity_tokens
        self._rows: deque[tuple[int, int, int, float, float]] = deque(maxlen=kept)

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


def timed(rows: tuple[tuple[int, int, int, float, float], ...], capacity: int) -> list[TimedStep]:
    """Rows in the order of COLUMNS as the records that are fitted."""
    return [
        TimedStep(prefill, decode, round(kv_used * capacity), ms / 1000)
        for prefill, decode, _, kv_used, ms in rows
    ]
