"""Percentiles, shares and their certainty, the promise."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.terms.slo import parse_slo
from loadtests.judging.confidence import wilson
from loadtests.judging.percentiles import percentile
from loadtests.judging.summary import summarize
from loadtests.judging.verdict import Check, Metric, Verdict, judge
from loadtests.record import Outcome, Record

SLO = parse_slo("ttft_p95<=2s,tpot_p95<=100ms,success>=99%")


def record(outcome: Outcome = Outcome.ANSWERED, **values: Any) -> Record:
    if outcome is Outcome.ANSWERED:
        values = {"ttft_s": 1.0, "tpot_s": 0.05, "output_tokens": 10} | values
    return Record("id", "chat", outcome, 0.0, 0.0, values.pop("e2e_s", 5.0), **values)


def check(verdict: Verdict, metric: Metric) -> Check:
    return next(each for each in verdict.checks if each.metric is metric)


# -- percentiles and shares ----------------------------------------------------------------


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 21)]
    assert percentile(values, 0.95) == 19.0
    assert percentile(values, 0.5) == 10.0
    assert percentile([3.0], 0.99) == 3.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


shares = st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999])


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), shares, st.floats(0, 100))
def test_a_percentile_within_a_bound_says_that_the_share_kept_it(
    values: list[float], share: float, bound: float
) -> None:
    kept = sum(value <= bound for value in values)
    assert (percentile(values, share) <= bound) == (kept >= share * len(values) - 1e-9)


def test_wilsons_interval_is_the_one_of_the_textbook() -> None:
    low, high = wilson(90, 100)
    assert (low, high) == (pytest.approx(0.8256, abs=1e-4), pytest.approx(0.9448, abs=1e-4))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(20, 20)[0] == pytest.approx(0.8389, abs=1e-4)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


@given(st.integers(0, 300), st.integers(1, 300))
def test_an_interval_holds_its_share(kept: int, of: int) -> None:
    kept = min(kept, of)
    low, high = wilson(kept, of)
    assert 0 <= low <= kept / of + 1e-12
    assert kept / of - 1e-12 <= high <= 1


# -- the promise ---------------------------------------------------------------------------


def test_all_well_is_met() -> None:
    verdict = judge([record()] * 100, SLO)
    assert verdict.met
    assert [each.metric for each in verdict.checks] == [Metric.TTFT, Metric.TPOT, Metric.SUCCESS]
    assert verdict.worst is not None
    assert verdict.worst.metric is Metric.TTFT  # half of its bound, as TPOT; the first of equals


def test_one_in_twenty_may_be_slow_and_not_two() -> None:
    slow = record(ttft_s=2.5)
    assert judge([record()] * 19 + [slow], SLO).met
    missed = judge([record()] * 18 + [slow] * 2, SLO)
    assert not missed.met
    assert missed.worst is not None
    assert (missed.worst.metric, missed.worst.value) == (Metric.TTFT, 2.5)
    assert missed.worst.strain == 1.25


def test_a_refusal_is_a_failure_but_has_no_first_token() -> None:
    verdict = judge([record()] * 98 + [record(Outcome.REFUSED)] * 2, SLO)
    assert check(verdict, Metric.TTFT).of == 98
    assert check(verdict, Metric.SUCCESS).value == 0.98
    assert check(verdict, Metric.SUCCESS).strain == pytest.approx(2.0)
    assert not verdict.met


def test_who_gave_up_waiting_is_beyond_any_bound() -> None:
    verdict = judge([record()] * 9 + [record(Outcome.TIMED_OUT)], SLO)
    assert check(verdict, Metric.TTFT).value == math.inf
    assert not check(verdict, Metric.SUCCESS).met


def test_who_hangs_up_is_neither_success_nor_failure() -> None:
    verdict = judge([record()] * 9 + [record(Outcome.CANCELLED, ttft_s=0.5)], SLO)
    assert check(verdict, Metric.SUCCESS).of == 9
    assert check(verdict, Metric.TTFT).of == 10
    assert verdict.met


def test_answers_of_one_token_have_no_tpot() -> None:
    verdict = judge([record()] * 4 + [record(tpot_s=None)], SLO)
    assert check(verdict, Metric.TPOT).of == 4


def test_nothing_measured_is_nothing_met() -> None:
    verdict = judge([], SLO)
    assert not verdict.met
    assert not verdict.surely_missed
    assert judge([], parse_slo("success>=1%")).met is False


def test_a_promise_of_all_allows_no_failure() -> None:
    slo = parse_slo("success>=100%")
    assert judge([record()] * 50, slo).met
    assert not judge([record()] * 50 + [record(Outcome.FAILED)], slo).met


def test_a_hopeless_case_is_sure_before_the_end() -> None:
    assert judge([record(ttft_s=9.0)] * 10, SLO).surely_missed
    assert not judge([record()] * 10 + [record(ttft_s=9.0)], SLO).surely_missed


def test_of_two_missed_terms_the_one_farther_out_is_the_worst() -> None:
    verdict = judge([record(ttft_s=2.2, tpot_s=0.3)] * 10, SLO)
    assert verdict.worst is not None
    assert verdict.worst.metric is Metric.TPOT


# -- summary -------------------------------------------------------------------------------


def test_a_summary_counts_everybody_once() -> None:
    records = [
        *[record(queued_s=0.0)] * 5,
        *[record(queued_s=1.0)] * 2,
        record(ttft_s=3.0),
        record(Outcome.REFUSED, reason="kv_capacity"),
        record(Outcome.CANCELLED, ttft_s=0.5),
    ]
    summary = summarize(records, SLO, 10.0)
    assert summary.offered == sum(summary.outcomes.values()) == 10
    assert (summary.outcomes["answered"], summary.held) == (8, 2)
    assert summary.goodput_ratio == 0.8
    assert summary.finished_per_s == 0.8
    assert summary.output_tokens_per_s == 8.0
    assert summary.reasons == {"kv_capacity": 1}
    assert summary.percentiles["ttft_s"]["p99"] == 3.0


def test_a_summary_of_nothing_has_no_percentiles() -> None:
    assert summarize([], SLO, 0.0).percentiles == {}
