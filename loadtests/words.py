"""A run in a few lines of text."""

import math
from collections.abc import Iterator

from loadtests.client.watch import ClientReport
from loadtests.judging.summary import Summary, remarks, why
from loadtests.judging.verdict import Check, Metric, Verdict
from loadtests.prompts import Prompts
from loadtests.run import Run

_SHOWN = (("ttft_s", "TTFT"), ("tpot_s", "TPOT"), ("e2e_s", "E2E"))


def told(run: Run, client: ClientReport, verdict: Verdict) -> Iterator[str]:
    """Verdict first."""
    flaws = client.flaws()
    yield from run.facts.notes
    if isinstance(run.options.scenario, Prompts):
        yield run.options.scenario.word()
    if flaws:
        yield f"INVALID: {'; '.join(flaws)}"
    if verdict.checks:
        yield f"SLO {'met' if verdict.met else 'MISSED'}: {'; '.join(map(check, verdict.checks))}"
    yield from numbers(run.summary())
    yield (
        f"client: late by p99 {client.lag_p99_s * 1000:.1f} ms, {client.cpu_ratio:.0%} of a core;"
        f" modelled seconds, {client.time_scale:g} in a real one; records in {run.path}"
    )


def numbers(summary: Summary) -> Iterator[str]:
    """The five counts, rates, percentiles."""
    counts = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in summary.outcomes.items()
    )
    yield f"{summary.offered} offered: {counts}; {summary.held} answered after a wait in the queue"
    if summary.reasons:
        yield f"why: {why(summary, most=5)}"
    yield from remarks(summary)
    yield (
        f"{summary.finished_per_s:.2f} answers/s, {summary.output_tokens_per_s:.0f} tokens/s,"
        f" goodput {summary.goodput_ratio:.1%} of offered"
    )
    for name, title in _SHOWN:
        if found := summary.percentiles.get(name):
            yield f"{title}: " + ", ".join(f"{p} {_time(value)}" for p, value in found.items())


def check(term: Check) -> str:
    """One term of an SLO, e.g. "ttft_p95 1.93s <= 2s"."""
    if term.metric is Metric.SUCCESS:
        value = "none" if term.value is None else f"{term.value:.2%}"
        return f"success {value} >= {term.bound:.2%}"
    value = "none" if term.value is None else _time(term.value)
    return f"{term.metric}_p{term.needed_ratio * 100:g} {value} <= {_time(term.bound)}"


def _time(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "never"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
