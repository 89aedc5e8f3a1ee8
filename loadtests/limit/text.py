"""A limit as text: one sentence, and a table with a row per round."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtests.document.document import Document, Paragraphs, Section, Table
from loadtests.judging.search import Phase, Seen
from loadtests.judging.summary import remarks, why
from loadtests.judging.verdict import Check, Metric
from loadtests.limit.result import Result
from loadtests.limit.rounds import Measured
from loadtests.record import Outcome
from loadtests.report.numbers import seconds_text

_COLUMNS = ("users", "phase", "SLO", "TTFT", "TPOT", "success", "goodput", "answers/s", "tokens/s")
_MORE = ("held", "refused", "binds", "finished", "seconds")
_ALIGN = "rllrrrrrrrrlrr"
_WIDEST = ("", "descending", "invalid", "1e+03 ms", "1e+03 ms", *[""] * 6, "prefill", "", "")
_NAMES = {"kv": "KV", "slots": "slots", "prefill": "prefill", "decode": "decode"}


def sentence(result: Result) -> str:
    """The result in one sentence."""
    if result.found is None:
        return _judged(result)
    if result.found.invalid:
        flaws = "; ".join(result.rounds[-1].client.flaws())
        return f"invalid: the client could not keep up ({flaws})"
    if not result.found.users:
        return f"does not sustain a single user of {result.scenario}{_failure(result)}"
    low, high = result.interval or (result.found.users, result.found.users)
    more = " or more: the search was not allowed higher" if result.found.at_most else ""
    said = (
        f"sustains {result.found.users} concurrent users of {result.scenario}{more},"
        f" 95 % interval {low}-{high}{_failure(result)}"
    )
    above = result.found.from_above
    if above is not None and above < result.found.users:
        said += f"; coming down from overload it held only at {above}"
    return said


def document(result: Result) -> Document:
    """The sentence, its prediction and caveats, the rounds, and the parameters."""
    notes = [prediction(result), beside(result.beside) if result.beside else None, *_notes(result)]
    asked = (
        f"{result.slo} on {result.facts.model}, mode {result.facts.mode or 'unknown'}; modelled"
        f" seconds, {result.facts.time_scale:g} in a real one; took {result.wall_s / 60:.1f} min"
    )
    lead = [sentence(result), *(each for each in notes if each is not None)]
    sections = [Section("", [table(result.rounds)]), Section("", [Paragraphs([asked])])]
    return Document(lead, sections)


def prediction(result: Result) -> str | None:
    """The plan's number, and its error against the measured one."""
    plan = result.prediction
    if plan is None:
        return None
    said = f"plan: {plan.expected} ({plan.low}-{plan.high}), {_name(plan.binds)} binds"
    error = plan.error_ratio(result.found.users) if result.found else None
    return said if error is None else f"{said}; off by {error:+.0%}"


def _notes(result: Result) -> Iterator[str]:
    """Caveats of the result: notes on the endpoint, and remarks on its last round."""
    yield from result.facts.notes
    if result.rounds:
        yield from remarks(result.rounds[-1].summary)


def beside(other: Mapping[str, Any]) -> str:
    """Another result, as it was saved by --json, e.g. of the same endpoint in mode off."""
    return f"beside it, mode {other['endpoint']['mode'] or 'unknown'}: {other['sentence']}"


def _judged(result: Result) -> str:
    """The sentence of a judgement at one number of users."""
    last = result.rounds[-1]
    if last.seen is Seen.INVALID:
        return f"invalid at {result.asked} users: {'; '.join(last.client.flaws())}"
    terms = ", ".join(term_text(term) for term in last.verdict.checks)
    said = f"SLO {last.seen} at {result.asked} concurrent users of {result.scenario}: {terms}"
    return said + _why(last)


def _why(measured: Measured) -> str:
    """The reasons of failed requests, if too many failed; else ""."""
    success = [term for term in measured.verdict.checks if term.metric is Metric.SUCCESS]
    answered = measured.summary.outcomes[Outcome.ANSWERED]
    reasons = why(measured.summary)
    if not reasons or (answered and all(term.met for term in success)):
        return ""
    return f"; why: {reasons}"


def _failure(result: Result) -> str:
    failure = result.first_failure
    if failure is None:
        return ""
    first, term = failure
    binds = f"; {_name(result.binds)} binds" if result.binds else ""
    what = f"{_title(term)} fails first ({term_text(term)})"
    return f"; at {first.probe.users} {what}{binds}{_why(first)}"


def _name(limit: str | None) -> str:
    return _NAMES.get(limit or "", limit or "")


def _title(term: Check) -> str:
    if term.metric is Metric.SUCCESS:
        return "success"
    return f"p{term.needed_ratio * 100:g} {term.metric.upper()}"


def term_text(term: Check) -> str:
    """One term of an SLO against its bound, e.g. "ttft_p95 2.31 s > 2 s"."""
    if term.metric is Metric.SUCCESS:
        value = "nothing" if term.value is None else f"{term.value:.2%}"
        return f"success {value} {'>=' if term.met else '<'} {term.bound * 100:g}%"
    value = "nothing" if term.value is None else seconds_text(term.value)
    sign = "<=" if term.met else ">"
    bound = seconds_text(term.bound)
    return f"{term.metric}_p{term.needed_ratio * 100:g} {value} {sign} {bound}"


def table(rounds: Sequence[Measured]) -> Table:
    """One row per round in the order they were run."""
    rows = [_row(each) for each in rounds]
    return Table([*_COLUMNS, *_MORE], _ALIGN, rows, widest=_WIDEST)


def _row(each: Measured) -> list[str]:
    summary = each.summary
    terms = {term.metric: term for term in each.verdict.checks}
    return [
        str(each.probe.users),
        "soak" if each.probe.phase is Phase.CONFIRMING else str(each.probe.phase),
        str(each.seen),
        _value(terms.get(Metric.TTFT)),
        _value(terms.get(Metric.TPOT)),
        f"{summary.outcomes['answered'] / summary.offered:.1%}" if summary.offered else "-",
        f"{summary.goodput_ratio:.1%}",
        f"{summary.finished_per_s:.2f}",
        f"{summary.output_tokens_per_s:.0f}",
        str(summary.held),
        str(summary.outcomes["refused"]),
        _name(each.binds) or "-",
        str(summary.offered),
        f"{each.seconds:.0f}",
    ]


def _value(term: Check | None) -> str:
    return "-" if term is None or term.value is None else seconds_text(term.value)
