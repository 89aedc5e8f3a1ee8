"""Summarises a set of records; rates are per modelled second."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from admission.terms.slo import Slo
from loadtests.judging.percentiles import percentile
from loadtests.judging.verdict import is_good
from loadtests.record import Outcome, Record

_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_SEVERAL = 1.3  # tokens per event, on average, that remarks mention; speculative decoding adds some
_MEASURES = ("ttft_s", "tpot_s", "itl_p95_s", "e2e_s", "queued_s")


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts by outcome, `held` = answered after time in the queue, and percentiles by measure."""

    offered: int
    outcomes: dict[str, int]
    held: int
    reasons: dict[str, int]  # of refused or failed requests
    output_tokens_per_s: float
    finished_per_s: float  # answered requests
    ended_per_s: float  # all requests, however they ended
    goodput_ratio: float  # both bounds met, over all offered; 1 if none was offered
    percentiles: dict[str, dict[str, float]]
    said: dict[str, str] = field(default_factory=dict)  # the first message for each reason
    estimated: int = 0  # answers without usage, whose tokens are counted by events
    whole: int = 0  # answers that were not streamed
    tokens_per_event: float | None = None  # if the server counts tokens; ITL is between events
    repeated: int | None = None  # prompts of a file that were sent before; None without a file
    cached_ratio: float | None = None  # of prompt tokens, found in a cache; None = not reported


def summarize(
    records: Sequence[Record],
    slo: Slo,
    seconds: float,
    *,
    ended: Sequence[Record] | None = None,
) -> Summary:
    """The summary of records over a window of `seconds`.

    Rates count all requests that `ended` in the window, even if they began before it: the last ones
    that begin in a window are still running at its end. None = the records themselves.
    """
    ended = records if ended is None else ended
    answered = [each for each in records if each.outcome is Outcome.ANSWERED]
    good = sum(is_good(each, slo) for each in records)
    tokens = sum(each.output_tokens for each in ended)
    finished = sum(each.outcome is Outcome.ANSWERED for each in ended)
    return Summary(
        offered=len(records),
        outcomes={outcome: sum(r.outcome is outcome for r in records) for outcome in Outcome},
        held=sum((each.queued_s or 0.0) > 0 for each in answered),
        reasons=_reasons(records),
        output_tokens_per_s=tokens / seconds if seconds > 0 else 0.0,
        finished_per_s=finished / seconds if seconds > 0 else 0.0,
        ended_per_s=len(ended) / seconds if seconds > 0 else 0.0,
        goodput_ratio=good / len(records) if records else 1.0,
        percentiles={name: found for name in _MEASURES if (found := _measured(records, name))},
        said=said_for(records),
        estimated=sum(each.estimated for each in answered),
        whole=sum(not each.streamed for each in answered),
        tokens_per_event=_tokens_per_event(answered),
        repeated=_repeated(records),
        cached_ratio=_cached(answered),
    )


def why(summary: Summary, most: int = 3) -> str:
    """The most frequent reasons with counts and messages; "" if there are none."""
    parts = [
        f"{name} {count}" + (f" ({said})" if (said := summary.said.get(name, name)) != name else "")
        for name, count in [*summary.reasons.items()][:most]
    ]
    rest = sum([*summary.reasons.values()][most:])
    return ", ".join([*parts, f"others {rest}"] if rest else parts)


def remarks(summary: Summary) -> list[str]:
    """Caveats about how the numbers were measured."""
    found = []
    if summary.estimated:
        found.append(
            f"{summary.estimated} answers came without usage: their tokens are estimates, one for"
            " each event"
        )
    if summary.whole:
        found.append(f"{summary.whole} answers were not streamed: their TTFT is the whole answer")
    if (per_event := summary.tokens_per_event) is not None and per_event > _SEVERAL:
        found.append(f"{per_event:.1f} tokens an event: ITL is between events, not tokens")
    if summary.repeated is not None:
        found.append(
            f"{summary.repeated} of {summary.offered} prompts had been asked before in this run"
            f" ({summary.repeated / max(1, summary.offered):.0%}): a prefix cache may hold them"
        )
    if summary.cached_ratio is not None and summary.repeated is not None:
        found.append(f"{summary.cached_ratio:.0%} of prompt tokens were found in a cache")
    return found


def said_for(records: Sequence[Record]) -> dict[str, str]:
    """The endpoint's first message for each reason."""
    found: dict[str, str] = {}
    for each in records:
        if each.reason is not None and each.said:
            found.setdefault(each.reason, each.said)
    return found


def _tokens_per_event(answered: Sequence[Record]) -> float | None:
    counted = [each for each in answered if each.events and not each.estimated and each.streamed]
    events = sum(each.events for each in counted)
    return sum(each.output_tokens for each in counted) / events if events else None


def _repeated(records: Sequence[Record]) -> int | None:
    given = [each for each in records if each.prompt_line is not None]
    return sum(each.repeat for each in given) if given else None


def _cached(answered: Sequence[Record]) -> float | None:
    known = [each for each in answered if each.cached_tokens is not None and each.prompt_tokens]
    tokens = sum(each.prompt_tokens or 0 for each in known)
    return sum(each.cached_tokens or 0 for each in known) / tokens if tokens else None


def _measured(records: Sequence[Record], name: str) -> dict[str, float]:
    values = [value for each in records if (value := getattr(each, name)) is not None]
    return {p: percentile(values, share) for p, share in _SHARES.items()} if values else {}


def _reasons(records: Sequence[Record]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in records:
        if each.reason is not None:
            counts[each.reason] = counts.get(each.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
