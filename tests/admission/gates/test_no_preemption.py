"""Whole lives on a tiny engine: no sequence is preempted, no request is lost, the cache is used."""

import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.price.footprint import EngineShape
from admission.terms.decision import Priority
from admission.terms.settings import Policy, Settings
from tests.admission.examples import FOREVER_S, UNBOUNDED, is_empty
from tests.admission.traffic import Job, Traffic

LONGEST = 300


@st.composite
def engines(draw: st.DrawFn) -> EngineShape:
    block_tokens = draw(st.sampled_from([1, 4, 16, 32, 128]))
    longest_blocks = -(-LONGEST // block_tokens)
    slots = draw(st.sampled_from([3, 8, 64]))
    return EngineShape(
        usable_blocks=longest_blocks * draw(st.sampled_from([1, 2, 5])),
        block_tokens=block_tokens,
        max_sequences=slots,
        max_model_len=LONGEST,
        max_batched_tokens=max(slots, draw(st.sampled_from([32, 128, 2048]))),
        prefix_caching=draw(st.booleans()),
        lookahead_tokens=draw(st.integers(0, 1)),
    )


@st.composite
def jobs(draw: st.DrawFn, *, hang_up: bool) -> list[Job]:
    made, arrives = [], 0
    for _ in range(draw(st.integers(1, 25))):
        arrives += draw(st.sampled_from([0, 0, 1, 7, 60]))
        output = draw(st.integers(1, LONGEST // 2))
        prompt = st.integers(1, LONGEST - output)
        made.append(
            Job(
                arrives,
                tuple(draw(st.lists(prompt, min_size=1, max_size=2))),
                output,
                sequences=draw(st.integers(1, 3)),
                tenant=draw(st.sampled_from("ab")),
                priority=draw(st.sampled_from(list(Priority))),
                patience_s=draw(st.sampled_from([FOREVER_S, FOREVER_S, 5.0])),
                leaves_after_steps=draw(st.none() | st.integers(0, 300)) if hang_up else None,
            )
        )
    return made


@st.composite
def policies(draw: st.DrawFn) -> Settings:
    return Settings(
        policy=draw(st.sampled_from([Policy.FOOTPRINT, Policy.WORST_CASE])),
        kv_headroom_ratio=0.0,
        prefill_backlog_max_tokens=draw(st.sampled_from([64, 8192])),
        **UNBOUNDED,
    )


@settings(max_examples=25)
@given(st.data(), engines(), policies(), st.integers(0, 2))
def test_known_lengths_are_never_preempted_and_never_counted_too_low(
    data: st.DataObject, shape: EngineShape, policy: Settings, message_steps: int
) -> None:
    traffic = Traffic(shape, policy, message_steps=message_steps)
    traffic.run(data.draw(jobs(hang_up=False)))
    assert traffic.engine.preemptions == 0
    assert traffic.most_below == 0
    assert is_empty(traffic.controller.ledger)
    assert all(visit.outcome for visit in traffic.visits)


@settings(max_examples=25)
@given(st.data(), engines(), policies(), st.integers(0, 2))
def test_nor_when_clients_hang_up_at_any_moment(
    data: st.DataObject, shape: EngineShape, policy: Settings, message_steps: int
) -> None:
    traffic = Traffic(shape, policy, message_steps=message_steps)
    traffic.run(data.draw(jobs(hang_up=True)))
    assert traffic.engine.preemptions == 0
    assert is_empty(traffic.controller.ledger)
    assert all(visit.outcome for visit in traffic.visits)


@settings(max_examples=10)
@given(st.data(), engines(), policies())
def test_the_same_traffic_is_decided_the_same_way(
    data: st.DataObject, shape: EngineShape, policy: Settings
) -> None:
    same = data.draw(jobs(hang_up=True))
    first, second = Traffic(shape, policy), Traffic(shape, policy)
    first.run(same)
    second.run(same)
    assert first.order == second.order
    assert first.outcomes == second.outcomes
    assert first.step == second.step


# -- the mix of the live test: prompts 30-1,500, answers 1-300, a cache of ten mean requests ---


def mix(seed: int, *, count: int = 150, max_tokens: int | None = None) -> list[Job]:
    """All at once: somebody waits nearly all the time."""
    rng = random.Random(seed)
    return [Job(0, (rng.randint(30, 1500),), rng.randint(1, 300), max_tokens) for _ in range(count)]


def ten_mean_requests(block_tokens: int) -> EngineShape:
    return EngineShape(
        usable_blocks=9150 // block_tokens,
        block_tokens=block_tokens,
        max_sequences=256,
        max_model_len=4096,
        max_batched_tokens=2048,
        prefix_caching=True,
    )


@pytest.mark.parametrize("block_tokens", [16, 128])
@pytest.mark.parametrize("max_tokens", [None, 300])
def test_the_cache_is_used_while_anyone_waits(block_tokens: int, max_tokens: int | None) -> None:
    traffic = Traffic(ten_mean_requests(block_tokens), Settings(**UNBOUNDED))
    traffic.run(mix(1, max_tokens=max_tokens))
    assert traffic.engine.preemptions == 0
    assert traffic.outcomes == {"served": 150}
    assert fmean(traffic.used_while_waiting) >= 0.75


def test_the_ledger_is_at_most_a_block_per_sequence_above_the_engine() -> None:
    traffic = Traffic(ten_mean_requests(16), Settings(**UNBOUNDED))
    traffic.run(mix(2))
    assert traffic.most_below == 0
    assert max(traffic.most_above) <= 0.0


def test_waits_are_foretold_to_within_a_factor_of_two() -> None:
    rng = random.Random(3)
    jobs_in_time = [
        Job(number * 12, (rng.randint(30, 1500),), rng.randint(1, 300)) for number in range(200)
    ]
    traffic = Traffic(ten_mean_requests(16), Settings(**UNBOUNDED))
    traffic.run(jobs_in_time)
    waits = [
        visit.predicted_wait_s / (visit.accepted_at_s - visit.offered_at_s)
        for visit in traffic.visits
        if visit.ticket_id and visit.accepted_at_s and visit.accepted_at_s > visit.offered_at_s + 2
    ]
    assert len(waits) > 50
    assert sum(0.5 <= ratio <= 2 for ratio in waits) / len(waits) >= 0.9


def test_long_requests_are_not_starved_by_a_stream_of_short_ones() -> None:
    rng = random.Random(4)
    short = [Job(number * 3, (30,), rng.randint(1, 40), tenant="short") for number in range(600)]
    long = [Job(300 + 200 * number, (3000,), 1000, tenant="long") for number in range(3)]
    traffic = Traffic(ten_mean_requests(16), Settings(**UNBOUNDED))
    traffic.run([*short, *long])
    taken_s = [
        visit.accepted_at_s - visit.offered_at_s
        for visit in traffic.visits
        if visit.job.tenant == "long" and visit.accepted_at_s is not None
    ]
    assert len(taken_s) == 3
    assert max(taken_s) < 60


@pytest.mark.parametrize("seed", range(8))
def test_an_engine_that_hears_of_requests_late_preempts_none_of_them(seed: int) -> None:
    """A gateway short of CPU: what it accepts reaches the engine forty steps later."""
    exact = Settings(kv_headroom_ratio=0.0, **UNBOUNDED)
    traffic = Traffic(ten_mean_requests(16), exact, message_steps=40)
    traffic.run(mix(seed))
    assert traffic.outcomes == {"served": 150}
    assert traffic.engine.preemptions == 0


@pytest.mark.parametrize("seed", range(4))
def test_answers_that_run_into_their_limits_are_never_preempted(seed: int) -> None:
    """A class of cut answers promises no end before the limit, however many it has seen."""
    rng = random.Random(seed)
    limits = [rng.randint(1, 300) for _ in range(150)]
    bold = Settings(kv_headroom_ratio=0.0, output_quantile=0.5, **UNBOUNDED)
    traffic = Traffic(ten_mean_requests(16), bold)
    traffic.run([Job(0, (rng.randint(30, 1500),), limit, limit) for limit in limits])
    assert traffic.outcomes == {"served": 150}
    assert traffic.engine.preemptions == 0


def test_unknown_lengths_are_seldom_preempted_once_they_are_learned() -> None:
    rng = random.Random(5)
    answers = [min(1024, int(rng.lognormvariate(4.5, 0.8)) + 1) for _ in range(400)]
    traffic = Traffic(ten_mean_requests(16), Settings(**UNBOUNDED))
    traffic.run([Job(0, (rng.randint(30, 1500),), tokens, 1024) for tokens in answers])
    assert traffic.outcomes == {"served": 400}
    assert traffic.engine.preemptions <= 2
