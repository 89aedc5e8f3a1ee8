"""The sentence that somebody remembers who reads no further."""

from collections.abc import Callable

from loadtests.report.findings import RunFindings, Term
from loadtests.report.numbers import seconds_text, share
from loadtests.report.words import ReportWords


def verdict(found: RunFindings, words: ReportWords) -> str:
    """Of a search how many users, of a run whether the promise was kept."""
    if found.flaws:
        return words("verdict_invalid", flaws=words("term_comma").join(found.flaws))
    if not found.search:
        return _run(found, words)
    if found.search["search"] is None:
        seen = found.search["rounds"][-1]["seen"]
        users, scenario = found.search["asked_concurrency"], found.search["scenario"]
        terms = _terms(found, words)
        return words(f"verdict_at_{seen}", users=users, scenario=scenario, terms=terms)
    return words("gap").join(_search(found, words))


def _search(found: RunFindings, words: ReportWords) -> list[str]:
    limit, scenario = found.search["search"], found.search["scenario"]
    if not limit["users"]:
        said = [words("verdict_none", scenario=scenario)]
    elif limit["at_most"]:
        said = [words("verdict_more", users=limit["users"], scenario=scenario)]
    else:
        low, high = found.search["interval_95"] or (limit["users"], limit["users"])
        told = {"users": limit["users"], "scenario": scenario, "low": low, "high": high}
        said = [words("verdict_sustains", **told)]
    if failure := found.search["fails_first"]:
        term, binds = _term(found.terms[0], words), found.search["binding_limit"]
        key, limit_name = ("verdict_binds" if binds else "verdict_fails"), words.limit(binds)
        users = failure["concurrency"]
        said.append(words(key, users=users, term=term, limit=limit_name))
    above = limit["from_above"]
    if above is not None and above < limit["users"]:
        said.append(words("verdict_above", users=above))
    return said


def _run(found: RunFindings, words: ReportWords) -> str:
    if found.terms:
        return words(f"verdict_{'met' if found.good else 'missed'}", terms=_terms(found, words))
    answered = found.outcomes.get("answered", 0)
    return words("verdict_unpromised", answered=answered, offered=len(found.run.records))


def _terms(found: RunFindings, words: ReportWords) -> str:
    return words("term_comma").join(_term(term, words) for term in found.terms)


def _term(term: Term, words: ReportWords) -> str:
    """E.g. "TTFT p95 2.31 s (promised 2 s)"."""
    if term.metric == "success":
        return _told(words("success"), term, share, ">=", words)
    name = f"{term.metric.upper()} p{term.needed_ratio * 100:g}"
    return _told(name, term, seconds_text, "<=", words)


def _told(
    name: str, term: Term, told: Callable[[float], str], sign: str, words: ReportWords
) -> str:
    value = words("nothing") if term.value is None else told(term.value)
    return words("term", name=name, value=value, bound=f"{sign} {told(term.bound)}")
