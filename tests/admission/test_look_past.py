"""A head that waits for memory is passed only by those it loses nothing to."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from admission.controller import Controller
from admission.terms.decision import Limit, Priority
from admission.terms.settings import Policy, Settings
from tests.admission.examples import ENGINE, accepted, engine, offer, queued, shape
from tests.admission.traffic import Job, Traffic

PAST = Settings(kv_headroom_ratio=0.0, queue_cost_weight=0.0)  # the first to come is the head
IN_TURN = replace(PAST, queue_look_past_requests=0)
LARGE, SMALL = shape(1000, 500), shape(16, 16)


def busy(terms: Settings = PAST) -> Controller:
    """One large request runs, with about 500 steps to go."""
    controller = Controller(ENGINE, terms)
    accepted(controller.offer(offer(LARGE), 0.0))
    controller.ledger.prefilled(1000)
    return controller


def accepted_at(controller: Controller, now_s: float) -> list[int]:
    return [turn.ticket_id for turn in controller.tick(now_s)]


def test_a_small_request_that_ends_before_the_large_one_may_start_passes_it() -> None:
    controller = busy()
    large = queued(controller.offer(offer(LARGE), 0.0))
    small = queued(controller.offer(offer(SMALL), 0.0))
    assert accepted_at(controller, 0.1) == [small]
    assert large in controller.queue
    assert controller.binding is Limit.KV


def test_a_request_that_would_still_hold_what_the_head_needs_does_not_pass() -> None:
    controller = busy()
    queued(controller.offer(offer(shape(1400, 160)), 0.0))  # 98 of the 100 blocks
    queued(controller.offer(offer(shape(16, 700)), 0.0))  # fits now, but outlives the running one
    assert accepted_at(controller, 0.1) == []


def test_the_start_of_the_head_is_reserved_against_all_that_pass_together() -> None:
    controller = busy()
    queued(controller.offer(offer(shape(900, 500)), 0.0))
    head = controller.quote(offer(shape(900, 500))).price
    start = controller.headroom.start_steps(head, Priority.NORMAL)
    for _ in range(3):
        queued(controller.offer(offer(shape(16, 600)), 0.0))  # outlives the running one
    assert len(accepted_at(controller, 0.1)) == 0
    for _ in range(3):
        queued(controller.offer(offer(shape(16, 16)), 0.0))
    assert len(accepted_at(controller, 0.2)) == 3
    assert controller.headroom.start_steps(head, Priority.NORMAL) <= start


def test_no_request_passes_in_the_second_half_of_the_heads_time() -> None:
    controller = busy()
    queued(controller.offer(offer(LARGE, patience_s=20), 0.0))
    small = queued(controller.offer(offer(SMALL), 0.0))
    assert accepted_at(controller, 10.0) == []
    assert small in controller.queue


def test_only_the_next_few_are_looked_at() -> None:
    controller = busy(replace(PAST, queue_look_past_requests=2))
    queued(controller.offer(offer(LARGE), 0.0))
    for _ in range(2):
        queued(controller.offer(offer(LARGE), 0.0))
    queued(controller.offer(offer(SMALL), 0.0))
    assert accepted_at(controller, 0.1) == []


def test_without_backfill_every_request_waits_for_the_head() -> None:
    controller = busy(IN_TURN)
    queued(controller.offer(offer(LARGE), 0.0))
    queued(controller.offer(offer(SMALL), 0.0))
    assert accepted_at(controller, 0.1) == []


def test_a_head_that_waits_for_a_slot_is_not_passed() -> None:
    controller = Controller(engine(max_sequences=2), PAST)
    accepted(controller.offer(offer(SMALL), 0.0))
    queued(controller.offer(offer(shape(16, 16, sequences=2)), 0.0))
    queued(controller.offer(offer(SMALL), 0.0))
    assert accepted_at(controller, 0.1) == []
    static = Controller(ENGINE, Settings(policy=Policy.STATIC, static_limit=1))
    accepted(static.offer(offer(SMALL), 0.0))
    queued(static.offer(offer(SMALL), 0.0))
    queued(static.offer(offer(SMALL), 0.0))
    assert accepted_at(static, 0.1) == []


@settings(max_examples=25)
@given(
    small=st.lists(
        st.tuples(st.integers(0, 400), st.integers(1, 200), st.integers(1, 200)), max_size=25
    ),
    large_output_tokens=st.integers(1, 400),
)
def test_with_known_lengths_a_large_one_starts_no_later_than_the_ledger_foresaw(
    small: list[tuple[int, int, int]], large_output_tokens: int
) -> None:
    """A stream of small ones behind a large head: the same step, give or take a bucket."""
    jobs = [Job(0, (1000,), 400), Job(1, (1100,), large_output_tokens, tenant="large")]
    jobs += [Job(2 + step, (prompt,), output, tenant="s") for step, prompt, output in small]
    shape_now = engine(max_sequences=16)
    passing, in_turn = Traffic(shape_now, PAST), Traffic(shape_now, IN_TURN)
    passing.run(jobs)
    in_turn.run(jobs)
    assert passing.engine.preemptions == 0
    assert start_step(passing) <= start_step(in_turn) + 32


def start_step(traffic: Traffic) -> int:
    """The step in which the large one was accepted."""
    (visit,) = (visit for visit in traffic.visits if visit.job.tenant == "large")
    assert visit.accepted_at_step is not None
    return visit.accepted_at_step
