"""The last steps are kept, told, and fitted."""

from types import SimpleNamespace

import pytest

from admission.speed.step_fit import fit
from serve.engine_step import EngineStep
from serve.gate.step_times import COLUMNS, KEPT, StepTimes


def step(prefill: int, decode: int, kv_used: float, seconds: float) -> EngineStep:
    running = {str(number): SimpleNamespace() for number in range(decode)}
    return EngineStep(
        running,  # type: ignore[arg-type]
        prefill_tokens=prefill,
        decode_tokens=decode,
        kv_used_ratio=kv_used,
        elapsed_s=seconds,
    )


def test_rows_say_what_was_in_a_step_and_what_it_took() -> None:
    times = StepTimes(1000)
    times.note(step(7, 2, 0.25, 0.031))
    times.note(step(0, 0, 0.25, 0.5))  # nothing was computed
    told = times.rows()
    assert tuple(told["columns"]) == COLUMNS == ("prefill", "decode", "running", "kv_used", "ms")
    assert told["rows"] == [(7, 2, 2, 0.25, 31.0)]
    assert told["capacity_tokens"] == 1000


def test_only_the_last_steps_are_kept() -> None:
    times = StepTimes(1000)
    for number in range(KEPT + 5):
        times.note(step(number + 1, 0, 0.0, 0.01))
    rows = times.rows()["rows"]
    assert (len(rows), rows[0][0]) == (KEPT, 6)


def test_what_is_kept_can_be_fitted() -> None:
    times = StepTimes(100_000)
    for number in range(200):
        decode, used, prefill = 1 + number % 40, (number * 37 % 100) / 100, 100 * (number % 3)
        seconds = 0.02 + 1e-4 * prefill + 1e-3 * decode + 1e-6 * used * 100_000
        times.note(step(prefill, decode, used, seconds))
    found = fit(times.timed())
    assert found.coefficients.fixed_s == pytest.approx(0.02, rel=0.01)
    assert found.coefficients.prefill_token_s == pytest.approx(1e-4, rel=0.01)
    assert found.coefficients.decode_sequence_s == pytest.approx(1e-3, rel=0.01)
    assert found.coefficients.context_token_s == pytest.approx(1e-6, rel=0.01)
