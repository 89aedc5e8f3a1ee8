"""Tenants are charged seconds of the engine's time, by prediction and then by what it was."""

import pytest

from admission.controller import Controller
from admission.price.footprint import PromptShape, RequestShape, Work
from admission.price.offer import Offer
from admission.queue.cost import EngineCost
from admission.speed.linear_steps import StepCoefficients
from admission.speed.pace import Pace
from admission.terms.decision import Priority
from admission.terms.settings import Settings, TenantTerms
from tests.admission.examples import ENGINE, accepted, engine, offer, queued, record, shape, warm

STEP = StepCoefficients(
    fixed_s=0.016, prefill_token_s=1e-3, decode_sequence_s=1e-4, context_token_s=1e-6
)


def controller(settings: Settings | None = None) -> Controller:
    gate = Controller(engine(usable_blocks=1000, max_sequences=50), settings or Settings())
    gate.know_step_times(STEP)
    return gate


def counter_s(gate: Controller, tenant: str = "a") -> float:
    return gate.queue.counter_s(tenant, Priority.NORMAL)


# -- the cost ------------------------------------------------------------------------------


def test_the_cost_is_the_time_of_the_prompt_of_each_token_and_of_what_is_held() -> None:
    cost = EngineCost(ENGINE, Pace())
    cost.learn(STEP)
    held_s = 16 * (1e-6 + 0.016 / 1600)  # a block for a step: its reading, its share of the cache
    expected = 100 * 1e-3 + 50 * 1e-4 + 400 * held_s
    assert cost.seconds(Work(100, 50, 400)) == pytest.approx(expected)


def test_a_full_cache_pays_for_the_whole_of_every_step() -> None:
    cost = EngineCost(ENGINE, Pace())
    cost.learn(StepCoefficients(0.016, 1e-3, 0.0, 0.0))
    assert cost.seconds(Work(0, 0, 100 * 10)) == pytest.approx(10 * 0.016)


def test_until_steps_are_measured_an_output_token_counts_as_two_of_the_prompt() -> None:
    gate = Controller(ENGINE, Settings())
    cost = gate.accounts.cost
    assert not cost.measured
    assert cost.seconds(Work(100, 50, 7)) == pytest.approx(200 * 1e-4)
    warm(gate)  # a millisecond a prompt token
    assert cost.seconds(Work(100, 50, 7)) == pytest.approx(0.2, rel=0.05)


def test_coefficients_by_which_prompts_are_free_are_not_believed() -> None:
    cost = EngineCost(ENGINE, Pace())
    cost.learn(StepCoefficients(0.05, 0.0, 0.0, 0.0))
    assert not cost.measured


def test_what_is_cached_is_not_charged() -> None:
    gate = controller()
    gate.prefixes.hold((7,))
    shared = RequestShape((PromptShape(200, 16, prefix_hashes=(7,)),), ignore_eos=True)
    alone = RequestShape((PromptShape(200, 16),), ignore_eos=True)
    costs = [
        gate.accounts.cost.seconds(gate.quote(offer(each)).price.work) for each in (alone, shared)
    ]
    assert costs[0] - costs[1] == pytest.approx(128e-3)


# -- from charge to settlement -------------------------------------------------------------


@pytest.mark.parametrize("sequences", [1, 3])
@pytest.mark.parametrize("prefix_caching", [True, False])
def test_a_request_that_ran_as_predicted_costs_what_it_was_charged(
    sequences: int, prefix_caching: bool
) -> None:
    gate = Controller(engine(usable_blocks=1000, prefix_caching=prefix_caching), Settings())
    gate.know_step_times(STEP)
    prompts = (
        (PromptShape(100, 40), PromptShape(33, 40)) if sequences == 1 else (PromptShape(100, 40),)
    )
    asked = Offer("a", Priority.NORMAL, RequestShape(prompts, sequences, ignore_eos=True), 0.0, 1e9)
    lease = accepted(gate.offer(asked, 0.0))
    charged = counter_s(gate)
    rows = gate.rows_of(lease)
    gate.progress(record(dict.fromkeys(rows, 39), prefill_tokens=10_000), 0.1)
    for row in rows:
        gate.learn(lease, row, 40)
    gate.progress(record({}, ended=rows), 0.2)
    gate.release(lease, 0.2, in_engine=True)
    assert counter_s(gate) == pytest.approx(charged)


def test_a_shorter_answer_is_charged_as_it_was() -> None:
    gate = controller()
    lease = accepted(gate.offer(offer(shape(160, 400)), 0.0))
    (row,) = gate.rows_of(lease)
    gate.progress(record({row: 16}, prefill_tokens=160), 0.1)
    gate.progress(record({}, ended=(row,)), 0.2)
    gate.release(lease, 0.2, in_engine=True)
    assert counter_s(gate) == pytest.approx(
        gate.accounts.cost.seconds(Work(160, 16, (10 + 11) * 8))
    )


def test_an_aborted_request_is_charged_what_it_took() -> None:
    gate = controller()
    lease = accepted(gate.offer(offer(shape(160, 400)), 0.0))
    gate.progress(record({}, prefill_tokens=40), 0.1)
    gate.release(lease, 0.2, in_engine=True)
    assert counter_s(gate) == pytest.approx(40e-3)


def test_a_weight_divides_what_is_charged_and_what_is_set_right() -> None:
    gate = controller(Settings(tenants={"a": TenantTerms(weight=4.0)}))
    for tenant in ("a", "b"):
        lease = accepted(gate.offer(offer(shape(160, 400), tenant=tenant), 0.0))
        gate.progress(record({}, prefill_tokens=160), 0.1)
        gate.release(lease, 0.2, in_engine=False)
    assert counter_s(gate) == pytest.approx(160e-3 / 4)
    assert counter_s(gate, "b") == pytest.approx(max(160e-3, counter_s(gate)), rel=0.01)


def test_every_charge_is_settled() -> None:
    gate = controller()
    for _ in range(3):
        lease = accepted(gate.offer(offer(), 0.0))
        gate.enlarge(offer())
        gate.release(lease, 0.1, in_engine=False)
        gate.release(lease, 0.1, in_engine=False)
    assert set(gate.accounts._charges) == set(gate.ledger.leases)
    for lease in list(gate.ledger.leases):
        gate.release(lease, 0.2, in_engine=False)
    assert gate.accounts._charges == {}
    assert gate.accounts.budgets.blocks("a") == 0


def test_a_request_priced_anew_in_the_queue_is_charged_by_its_last_price() -> None:
    gate = Controller(ENGINE, Settings(kv_headroom_ratio=0.0))
    first = accepted(gate.offer(offer(shape(1000, 500), tenant="b"), 0.0))
    asked = offer(shape(400, 600, ignore_eos=False))
    queued(gate.offer(asked, 0.0))
    assert gate.accounts.budgets.blocks("a") == 63
    for _ in range(50):
        gate.lengths.learn(gate.quote(asked).keys[0], 20)
    (turn,) = gate.release(first, 0.1, in_engine=False)
    assert gate.accounts.budgets.blocks("a") == turn.quote.price.blocks_peak == 27


# -- headroom for the higher classes -------------------------------------------------------


def test_lower_classes_leave_a_reserve_for_each_higher_one() -> None:
    settings = Settings(kv_headroom_ratio=0.0, priority_reserve_ratio=0.1)
    gate = Controller(ENGINE, settings)
    limits = [gate.headroom.block_limit_of(priority) for priority in Priority]
    assert limits == [100, 90, 80]
    accepted(gate.offer(offer(shape(1184, 16)), 0.0))  # 75 of the 100
    small = shape(144, 16)  # 10
    queued(gate.offer(offer(small, priority=Priority.LOW), 0.0))
    accepted(gate.offer(offer(small), 0.0))
    queued(gate.offer(offer(small), 0.0))
    accepted(gate.offer(offer(small, priority=Priority.HIGH), 0.0))


def test_a_request_that_has_risen_uses_the_reserve_of_the_class_it_left() -> None:
    gate = Controller(ENGINE, Settings(kv_headroom_ratio=0.0, priority_reserve_ratio=0.1))
    accepted(gate.offer(offer(shape(1184, 16)), 0.0))
    low = queued(gate.offer(offer(shape(144, 16), priority=Priority.LOW, patience_s=40.0), 0.0))
    assert gate.tick(19.0) == []
    assert [turn.ticket_id for turn in gate.tick(20.0)] == [low]


def test_an_idle_engine_takes_a_low_request_larger_than_what_low_ones_see() -> None:
    gate = Controller(ENGINE, Settings(priority_reserve_ratio=0.3))
    accepted(gate.offer(offer(shape(1000, 300), priority=Priority.LOW), 0.0))
