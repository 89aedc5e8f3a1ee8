"""A greedy tenant takes what others leave, and nothing of theirs."""

import pytest

from admission.settings import Settings, TenantTerms
from tests.admission.crowd import GREEDY, others, play


@pytest.mark.parametrize("seed", [1, 2])
def test_a_tenant_at_ten_times_its_share_costs_the_others_at_most_a_twentieth(seed: int) -> None:
    modest, greedy = (play(times, seed=seed) for times in (1.0, 10.0))
    before, after = others(modest.seen()), others(greedy.seen())
    assert before.offered == after.offered
    assert after.good >= 0.95 * before.good
    assert greedy.seen()[GREEDY].goodput_ratio < 0.6  # it is overload: somebody has to go without
    assert greedy.engine.preemptions == 0


def test_a_budget_stops_a_greedy_tenant_at_the_door() -> None:
    terms = {GREEDY: TenantTerms(requests_per_minute=24)}  # its share
    capped = play(10.0, Settings(tenants=terms))
    assert capped.outcomes["tenant_budget"] > 300
    assert others(capped.seen()).goodput_ratio >= 0.97  # a minute's worth may come at once
