"""A greedy tenant takes what others leave, and nothing of theirs."""

from functools import cache
from statistics import median

import pytest

from admission.terms.settings import Settings, TenantTerms
from tests.admission.crowd import GREEDY, Crowd, others, play

SEEDS = (1, 2)


@cache
def played(times_share: float, seed: int) -> Crowd:
    """One run for all tests that look at it."""
    return play(times_share, seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tenant_at_ten_times_its_share_costs_the_others_at_most_a_twentieth(seed: int) -> None:
    modest, greedy = (played(times, seed) for times in (1.0, 10.0))
    before, after = others(modest.seen()), others(greedy.seen())
    assert before.offered == after.offered
    assert after.good >= 0.95 * before.good
    assert greedy.seen()[GREEDY].goodput_ratio < 0.6  # it is overload: somebody has to go without
    assert greedy.engine.preemptions == 0


def test_waits_are_foretold_without_bias_where_lengths_are_learned() -> None:
    waits = [
        visit.predicted_wait_s / (visit.accepted_at_s - visit.offered_at_s)
        for seed in SEEDS
        for visit in played(10.0, seed).visits
        if visit.ticket_id and visit.accepted_at_s and visit.accepted_at_s > visit.offered_at_s + 1
    ]
    assert len(waits) > 500
    assert 0.75 <= median(waits) <= 1.25
    assert sum(0.5 <= ratio <= 2 for ratio in waits) / len(waits) >= 0.7


def test_a_budget_stops_a_greedy_tenant_at_the_door() -> None:
    terms = {GREEDY: TenantTerms(requests_per_minute=24)}  # its share
    capped = play(10.0, Settings(tenants=terms))
    assert capped.outcomes["tenant_budget"] > 300
    assert others(capped.seen()).goodput_ratio >= 0.97  # a minute's worth may come at once
