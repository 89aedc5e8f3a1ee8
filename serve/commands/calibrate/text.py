"""Results of a calibration: as a report, as JSON, and as a profile section."""

from dataclasses import asdict
from typing import Any

from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_fit import StepFit
from serve.commands.calibrate.sources import Measured

_DIGITS = 4


def section(coefficients: StepCoefficients) -> str:
    """The `step_time:` section of a profile."""
    lines = (f"  {name}: {_plain(value)}" for name, value in asdict(coefficients).items())
    return "\n".join(("step_time:", *lines, ""))


def answer(measured: Measured, found: StepFit) -> dict[str, Any]:
    """For `--json`; the keys are stable."""
    return {
        "model": measured.model,
        "batches": measured.batches,
        "seconds": round(measured.seconds, 1),
        **asdict(found),
        "coefficients": {k: _rounded(v) for k, v in asdict(found.coefficients).items()},
    }


def report(measured: Measured, found: StepFit) -> str:
    """The report, in 80 columns."""
    line = found.coefficients
    one = line.seconds(prefill_tokens=0, decode_sequences=1, context_tokens=500)
    many = line.seconds(prefill_tokens=0, decode_sequences=32, context_tokens=32 * 500)
    prompt = line.seconds(prefill_tokens=512, decode_sequences=0, context_tokens=0)
    left = f"  not determined by these steps, taken as 0: {', '.join(found.not_told)}\n"
    return (
        f"{measured.model}: {found.records} steps of {measured.batches} batches in"
        f" {measured.seconds:.0f} s\n"
        f"  one sequence            {one * 1000:8.1f} ms a token\n"
        f"  32 sequences            {many * 1000:8.1f} ms a token, {32 / many:.0f} tokens/s\n"
        f"  512 prompt tokens       {prompt * 1000:8.1f} ms\n"
        f"  error of the fit        {found.error_median_ratio:8.1%} median,"
        f" {found.error_p90_ratio:.1%} p90, {found.outliers} outliers\n"
        + (left if found.not_told else "")
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _plain(value: float) -> str:
    """Four digits, without an exponent: YAML 1.1 reads 1e-05 as text."""
    text = f"{_rounded(value):.12f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text
