"""Tokens and requests per minute, a share of the KV blocks, and what is left of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.controller import Controller
from admission.queue.budgets import Allowance, Bucket, Standing
from admission.terms.decision import Accepted, Limit, Reason, Rejected
from admission.terms.settings import Mode, Settings, TenantTerms
from tests.admission.examples import ENGINE, accepted, engine, offer, queued, record, refused, shape

ROOMY = engine(usable_blocks=1000, max_sequences=50)


def controller(**terms: object) -> Controller:
    """An engine with room, and a tenant "a" of these terms; others have none."""
    tenants = {"a": TenantTerms(**terms)}  # type: ignore[arg-type]
    return Controller(ROOMY, Settings(kv_headroom_ratio=0.0, tenants=tenants))


def standing(gate: Controller, now_s: float, tenant: str = "a") -> Standing:
    found = gate.accounts.budgets.standing(tenant, now_s)
    assert found is not None
    return found


def tokens_left(gate: Controller, now_s: float = 0.0) -> int:
    allowance = standing(gate, now_s).tokens
    assert allowance is not None
    return allowance.remaining


# -- the bucket ----------------------------------------------------------------------------


def test_a_bucket_begins_full_and_fills_evenly() -> None:
    bucket = Bucket(60)
    assert bucket.left(100.0) == 60
    bucket.take(60)
    assert bucket.wait_s(1, 100.0) == pytest.approx(1.0)
    assert bucket.left(110.0) == pytest.approx(10)
    assert bucket.left(1000.0) == 60


def test_what_is_larger_than_a_bucket_passes_when_it_is_full_and_leaves_a_debt() -> None:
    bucket = Bucket(60)
    assert bucket.wait_s(100, 0.0) == 0
    bucket.take(100)
    assert bucket.left(0.0) == -40
    assert bucket.wait_s(1, 0.0) == pytest.approx(41)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 90)), max_size=60))
def test_no_more_flows_out_than_a_full_bucket_and_what_flowed_in(
    asked: list[tuple[float, int]],
) -> None:
    bucket, now_s, taken = Bucket(60), 0.0, 0
    for pause_s, units in asked:
        now_s += pause_s
        if bucket.wait_s(units, now_s) == 0:
            bucket.take(units)
            taken += units
        assert taken <= 60 + now_s + 90 + 1e-6  # at most one that was larger than the bucket
        assert bucket.left(now_s) <= 60


# -- requests ------------------------------------------------------------------------------


def test_requests_beyond_the_budget_are_refused_with_the_time_of_the_next() -> None:
    gate = controller(requests_per_minute=2)
    for _ in range(2):
        accepted(gate.offer(offer(), 0.0))
    refusal = refused(gate.offer(offer(), 0.0))
    assert refusal.reason is Reason.TENANT_BUDGET
    assert refusal.retry_after_s == pytest.approx(30)
    accepted(gate.offer(offer(tenant="b"), 0.0))
    refused(gate.offer(offer(), 29.0))
    accepted(gate.offer(offer(), 30.0))


def test_a_spent_budget_is_known_before_rendering() -> None:
    gate = controller(requests_per_minute=1)
    assert gate.precheck("a", 10, now_s=0.0) is None
    accepted(gate.offer(offer(), 0.0))
    refusal = gate.precheck("a", 10, now_s=1.0)
    assert refusal is not None
    assert refusal.reason is Reason.TENANT_BUDGET
    assert gate.precheck("b", 10, now_s=1.0) is None


def test_a_refused_request_costs_no_budget() -> None:
    gate = controller(requests_per_minute=60)
    refused(gate.offer(offer(shape(16, 16, sequences=51)), 0.0))
    assert standing(gate, 0.0).requests == Allowance(60, 60, 0.0)


# -- tokens --------------------------------------------------------------------------------


def test_tokens_are_taken_by_the_prediction_and_set_right_at_the_end() -> None:
    gate = controller(tokens_per_minute=6000)
    lease = accepted(gate.offer(offer(shape(100, 500)), 0.0))
    assert tokens_left(gate) == 5400
    (row,) = gate.rows_of(lease)
    gate.progress(record({row: 50}, prefill_tokens=100), 0.0)
    gate.learn(lease, row, 80)
    gate.progress(record({}, ended=(row,)), 0.0)
    gate.release(lease, 0.0, in_engine=True)
    assert tokens_left(gate) == 6000 - 180


def test_an_aborted_request_pays_for_what_it_got() -> None:
    gate = controller(tokens_per_minute=6000)
    lease = accepted(gate.offer(offer(shape(100, 500)), 0.0))
    (row,) = gate.rows_of(lease)
    gate.progress(record({row: 20}, prefill_tokens=100), 0.0)
    gate.release(lease, 0.0, in_engine=True)
    assert tokens_left(gate) == 6000 - 120
    unseen = accepted(gate.offer(offer(shape(100, 500)), 0.0))
    gate.release(unseen, 0.0, in_engine=True)
    assert tokens_left(gate) == 6000 - 120


def test_a_longer_answer_than_predicted_leaves_a_debt() -> None:
    gate = controller(tokens_per_minute=100)
    lease = accepted(gate.offer(offer(shape(40, 40)), 0.0))
    (row,) = gate.rows_of(lease)
    gate.progress(record({row: 400}, prefill_tokens=40), 0.0)
    gate.release(lease, 0.0, in_engine=False)
    assert tokens_left(gate) == 0
    refusal = refused(gate.offer(offer(shape(1, 1)), 0.0))
    assert refusal.retry_after_s == pytest.approx(0.6 * (340 + 2))


def test_a_request_that_leaves_the_queue_gets_the_tokens_back() -> None:
    gate = Controller(
        ENGINE, Settings(kv_headroom_ratio=0.0, tenants={"a": TenantTerms(tokens_per_minute=9000)})
    )
    accepted(gate.offer(offer(shape(1000, 500)), 0.0))
    first = queued(gate.offer(offer(shape(1000, 500)), 0.0))
    queued(gate.offer(offer(shape(1000, 500), patience_s=1.0), 0.0))
    assert tokens_left(gate) == 9000 - 3 * 1500
    gate.leave_queue(first)
    gate.tick(1.0)  # the other's time is up
    assert tokens_left(gate, 1.0) == 9000 - 1500 + 150
    assert gate.accounts.budgets.blocks("a") == 94


# -- the share of the cache ----------------------------------------------------------------


def test_a_tenant_holds_no_more_than_its_share_of_the_blocks() -> None:
    gate = controller(kv_share_ratio=0.05)  # 50 blocks
    lease = accepted(gate.offer(offer(shape(320, 320)), 0.0))  # 40 of them
    refusal = refused(gate.offer(offer(shape(320, 320)), 0.0))
    assert (refusal.reason, refusal.limit) == (Reason.TENANT_BUDGET, Limit.KV)
    assert refusal.retry_after_s is not None
    assert refusal.retry_after_s >= 1
    accepted(gate.offer(offer(shape(320, 320), tenant="b"), 0.0))
    accepted(gate.offer(offer(shape(80, 80)), 0.0))
    gate.release(lease, 0.1, in_engine=False)
    accepted(gate.offer(offer(shape(320, 320)), 0.1))


def test_a_request_above_the_whole_share_never_fits() -> None:
    refusal = refused(controller(kv_share_ratio=0.05).offer(offer(shape(800, 160)), 0.0))
    assert (refusal.reason, refusal.param) == (Reason.NEVER_FITS, "max_tokens")
    assert refusal.retry_after_s is None


# -- terms ---------------------------------------------------------------------------------


def test_terms_of_other_tenants_hold_for_each_by_itself() -> None:
    tenants = {"*": TenantTerms(requests_per_minute=1), "vip": TenantTerms()}
    gate = Controller(ROOMY, Settings(tenants=tenants))
    for tenant in ("a", "b", "vip", "vip"):
        accepted(gate.offer(offer(tenant=tenant), 0.0))
    refused(gate.offer(offer(tenant="a"), 0.0))
    assert gate.accounts.budgets.standing("vip", 0.0) is None


def test_new_terms_hold_at_once_and_unchanged_buckets_go_on() -> None:
    gate = controller(requests_per_minute=2, tokens_per_minute=9000)
    accepted(gate.offer(offer(shape(100, 100)), 0.0))
    gate.reconfigure(
        Settings(tenants={"a": TenantTerms(requests_per_minute=60, tokens_per_minute=9000)})
    )
    assert standing(gate, 0.0) == Standing(
        Allowance(60, 60, 0.0), Allowance(9000, 8800, pytest.approx(200 / 150))
    )
    gate.reconfigure(Settings())
    assert gate.accounts.budgets.standing("a", 0.0) is None


def test_a_share_that_comes_while_requests_run_counts_them() -> None:
    gate = controller()
    accepted(gate.offer(offer(shape(320, 320)), 0.0))
    gate.reconfigure(Settings(tenants={"a": TenantTerms(kv_share_ratio=0.05)}))
    assert refused(gate.offer(offer(shape(320, 320)), 0.0)).reason is Reason.TENANT_BUDGET


def test_shadow_says_so_and_lets_pass() -> None:
    tenants = {"a": TenantTerms(requests_per_minute=1)}
    gate = Controller(ROOMY, Settings(mode=Mode.SHADOW, tenants=tenants))
    accepted(gate.offer(offer(), 0.0))
    answer = gate.offer(offer(), 0.0)
    accepted(answer)
    assert isinstance(answer.would, Rejected)
    assert answer.would.reason is Reason.TENANT_BUDGET
    assert gate.precheck("a", 10, now_s=0.0) is None


def test_explaining_costs_no_budget() -> None:
    gate = controller(requests_per_minute=1)
    for _ in range(3):
        assert isinstance(gate.judge(offer(), gate.quote(offer()), 0.0), Accepted)
