"""What is refused before its prompt is rendered: only what would be refused afterwards too."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.controller import Controller
from admission.terms.decision import Priority, Reason, Rejected
from admission.terms.settings import Mode, Policy, Settings
from tests.admission.examples import EXACT, accepted, engine, offer, queued, shape, warm
from tests.admission.traffic import Job, Traffic

NORMAL = Priority.NORMAL
NOW_S = 50.0


def busy(*, waiting: int, config: Settings = EXACT) -> Controller:
    """Four slots taken for 16 s each, and a queue for them that is due before any newcomer."""
    controller = Controller(engine(usable_blocks=1000), config)
    warm(controller)
    for _ in range(4):
        accepted(controller.offer(offer(), 0.0))
    for _ in range(waiting):
        queued(controller.offer(offer(patience_s=NOW_S + 10.0), 0.0))
    return controller


def late(
    controller: Controller, allowed_s: float, *, behind: int = 0, priority: Priority = NORMAL
) -> Rejected | None:
    """What a newcomer hears that has so long."""
    due_s = NOW_S + allowed_s
    return controller.late_at_least("a", priority, deadline_at_s=due_s, now_s=NOW_S, behind=behind)


def test_a_wait_beyond_the_deadline_is_known_without_a_prompt() -> None:
    controller = busy(waiting=8)  # after those that run, two rounds of 16 s before it
    refusal = late(controller, 20.0)
    assert refusal is not None
    assert refusal.reason is Reason.SLOTS
    assert refusal.retry_after_s is not None
    assert refusal.retry_after_s > 10.0
    assert late(controller, 100.0) is None


def test_so_is_the_wait_for_a_slot_while_the_queue_is_empty() -> None:
    controller = busy(waiting=0)
    assert late(controller, 5.0) is not None
    assert late(controller, 30.0) is None


def test_what_may_be_accepted_at_once_is_not_refused() -> None:
    controller = Controller(engine(), EXACT)
    warm(controller)
    assert late(controller, 0.01) is None, "nothing runs, and no step was ever timed"
    accepted(controller.offer(offer(), 0.0))
    assert late(controller, 5.0) is None


def test_a_class_that_passes_the_queue_is_not_refused_by_it() -> None:
    controller = busy(waiting=8)
    assert late(controller, 20.0) is not None
    assert late(controller, 20.0, priority=Priority.HIGH) is None


def test_a_full_queue_is_told_as_such() -> None:
    controller = busy(waiting=3, config=replace(EXACT, queue_max_requests=3))
    refusal = late(controller, 1e6)
    assert refusal is not None
    assert refusal.reason is Reason.QUEUE_FULL


def test_those_before_it_count_as_if_they_were_in_the_queue() -> None:
    controller = busy(waiting=4)
    assert late(controller, 50.0) is None
    assert late(controller, 50.0, behind=40) is not None


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_only_mode_enforce_refuses(mode: Mode) -> None:
    controller = busy(waiting=8)
    controller.reconfigure(replace(EXACT, mode=mode))
    assert late(controller, 0.0) is None


def test_while_closed_it_is_left_to_the_precheck() -> None:
    controller = busy(waiting=8)
    controller.draining = True
    assert late(controller, 0.0) is None
    refusal = controller.precheck("a", 0, now_s=NOW_S)
    assert refusal is not None
    assert refusal.reason is Reason.DRAINING


JOBS = st.lists(
    st.builds(
        Job,
        arrives_step=st.integers(0, 60),
        prompts=st.lists(st.integers(1, 90), min_size=1, max_size=2).map(tuple),
        output_tokens=st.integers(1, 60),
        max_tokens=st.none() | st.just(80),
        sequences=st.integers(1, 3),
        tenant=st.sampled_from("abc"),
        priority=st.sampled_from(list(Priority)),
        patience_s=st.sampled_from([0.3, 1.0, 3.0, 1e9]),
    ),
    min_size=5,
    max_size=40,
)
PROBE = st.tuples(
    st.integers(1, 200),  # tokens of the prompt
    st.integers(1, 120),  # of the answer
    st.integers(1, 4),  # n
    st.booleans(),  # whether the length is known
    st.sampled_from("abcd"),
    st.sampled_from(list(Priority)),
    st.floats(0.0, 6.0),  # seconds to its deadline
)


def tight(policy: Policy, blocks: int, line: int) -> Traffic:
    """An engine of three slots, with few blocks."""
    facts = engine(usable_blocks=blocks, max_sequences=3, max_model_len=320, max_batched_tokens=64)
    config = Settings(
        policy=policy,
        static_limit=2,
        queue_max_requests=line,
        tpot_target_s=0.5,
        prefill_backlog_max_tokens=64,
        ttft_deadline_s=3.0,
    )
    return Traffic(facts, config)


def play(traffic: Traffic, jobs: list[Job], probe: object = None) -> int:
    """Offers all jobs, 80 steps; asks `probe` before each step. Returns how often it is refused."""
    coming = sorted(jobs, key=lambda job: job.arrives_step)
    refused = 0
    for step in range(80):
        while coming and coming[0].arrives_step <= step:
            traffic.offer(coming.pop(0))
        refused += probe is not None and refused_early(traffic, probe)
        traffic.advance()
    return refused


def refused_early(traffic: Traffic, probe: object) -> bool:
    """Whether the probe is refused early; if so, rendered it is refused as well."""
    prompt, output, n, known, tenant, priority, patience_s = probe  # type: ignore[misc]
    controller, now_s = traffic.controller, traffic.now_s
    early = controller.late_at_least(
        tenant, priority, deadline_at_s=now_s + patience_s, now_s=now_s
    )
    asked = offer(
        shape(prompt, output, sequences=n, ignore_eos=known),
        tenant=tenant,
        priority=priority,
        arrived_at_s=now_s,
        patience_s=patience_s,
    )
    decision = controller.judge(asked, controller.quote(asked), now_s)
    assert early is None or isinstance(decision, Rejected), (early, decision)
    return early is not None


@settings(max_examples=40, deadline=None)
@given(
    jobs=JOBS,
    probe=PROBE,
    policy=st.sampled_from(list(Policy)),
    blocks=st.sampled_from([30, 100]),
    line=st.sampled_from([2, 50]),
)
def test_nothing_is_refused_early_that_would_be_taken_in(
    jobs: list[Job], probe: object, policy: Policy, blocks: int, line: int
) -> None:
    play(tight(policy, blocks, line), jobs, probe)


@settings(max_examples=20, deadline=None)
@given(jobs=JOBS, probe=PROBE)
def test_asking_changes_no_decision(jobs: list[Job], probe: object) -> None:
    asked, left_alone = (tight(Policy.FOOTPRINT, 60, 50) for _ in range(2))
    play(asked, jobs, probe)
    play(left_alone, jobs)
    assert [v.outcome for v in asked.visits] == [v.outcome for v in left_alone.visits]
    assert asked.order == left_alone.order


def test_the_early_refusal_is_not_a_rare_one() -> None:
    """Of those that are refused by a long line, nearly all are refused early."""
    traffic = tight(Policy.FOOTPRINT, 100, 50)
    jobs = [Job(step // 3, (40,), 40, patience_s=2.0) for step in range(180)]
    early = 0
    for step in range(60):
        for job in [job for job in jobs if job.arrives_step == step]:
            traffic.offer(job)
        early += refused_early(traffic, (40, 40, 1, True, "a", NORMAL, 2.0))
        traffic.advance()
    late_ones = traffic.outcomes[Reason.SLOTS] + traffic.outcomes[Reason.KV_CAPACITY]
    assert late_ones > 60
    assert early > 30
