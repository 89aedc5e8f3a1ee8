"""Whom a prompt would slow beyond the bound on the time per token."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.controller import Controller
from admission.gates.slack import PARTS, Slack, StepCosts
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_fit import TimedStep
from admission.terms.decision import Limit, Reason
from admission.terms.settings import Policy, Settings
from tests.admission.examples import accepted, engine, offer, queued, record, refused, shape

BOUND_S = 0.2
STEPS = StepCosts(decode_s=0.05, prefill_token_s=0.001, room_tokens=500, backlog_tokens=0)
WIDE = engine(usable_blocks=10_000, max_sequences=64, max_model_len=8_192)
LINE = StepCoefficients(0.05, 0.001, 0.0, 0.0)
PROMISED = Settings(tpot_target_s=BOUND_S)


def running(*answers: tuple[int, int], begun_s_ago: float = 0.0) -> Slack:
    """Answers as (tokens out, tokens in all), all with their first token at one instant."""
    slack = Slack()
    for row, (_, length) in enumerate(answers, start=1):
        slack.let_in(100)
        slack.begin(row, [length] * PARTS)
    rows = np.arange(1, len(answers) + 1)
    slack.progress(rows, np.ones_like(rows), 0.0)
    slack.progress(rows, np.array([out for out, _ in answers]), begun_s_ago)
    return slack


def lost(slack: Slack, tokens: int, steps: StepCosts = STEPS, planned_s: float = BOUND_S) -> float:
    return slack.lost_by(tokens, steps, planned_s=planned_s, bound_s=BOUND_S)


def test_an_empty_engine_loses_no_answer() -> None:
    assert lost(Slack(), 10**6) == 0


def test_a_short_answer_bears_less_than_a_long_one() -> None:
    # 11 tokens may take 2 s, of which ten steps take 0.5: it bears 1,500 prompt tokens
    assert lost(running((1, 11)), 1500) == 0
    assert lost(running((1, 11)), 1501) == 1
    assert lost(running((1, 101)), 1501) == 0


def test_time_that_has_passed_is_spent() -> None:
    assert lost(running((1, 11), begun_s_ago=0.5), 1000) == 0
    assert lost(running((1, 11), begun_s_ago=0.5), 1001) == 1


def test_prompts_already_let_in_are_spent_too() -> None:
    ahead = StepCosts(0.05, 0.001, room_tokens=500, backlog_tokens=1000)
    assert lost(running((1, 11)), 500, ahead) == 0
    assert lost(running((1, 11)), 501, ahead) == 1


def test_who_is_lost_already_costs_nothing() -> None:
    assert lost(running((1, 11), begun_s_ago=1.6), 5000) == 0


def test_who_has_used_up_what_is_planned_with_but_may_keep_the_bound_bears_nothing() -> None:
    # with 0.18 s a token it bears 1,300 prompt tokens, 1,200 are ahead; with 0.2 s 1,500
    ahead = StepCosts(0.05, 0.001, room_tokens=500, backlog_tokens=1200)
    answer = running((1, 11), begun_s_ago=0.2)
    assert lost(answer, 1, ahead, planned_s=0.18) == 1
    assert lost(answer, 1, ahead._replace(backlog_tokens=1301), planned_s=0.18) == 0


def test_an_answer_about_to_end_meets_no_more_of_a_prompt_than_its_steps_have_room_for() -> None:
    assert lost(running((10, 11)), 10**6) == 0  # one step of 0.05 + 0.5 s; 1.95 s were left


def test_one_that_waits_for_its_first_token_is_slowed_only_by_what_comes_behind_it() -> None:
    slack = Slack()
    slack.let_in(4000)
    slack.begin(1, [11] * PARTS)
    ahead = StepCosts(0.05, 0.001, room_tokens=500, backlog_tokens=4000)
    slack.progress(np.array([], dtype=np.int64), np.array([], dtype=np.int64), 9.0)
    assert lost(slack, 1500, ahead) == 0
    assert lost(slack, 1501, ahead) == 1


def test_lengths_that_are_not_known_count_by_their_shares() -> None:
    slack = Slack()
    slack.let_in(10)
    slack.begin(1, [11] * (PARTS // 2) + [1001] * (PARTS // 2))
    slack.progress(np.array([1]), np.array([1]), 0.0)
    assert lost(slack, 2000) == pytest.approx(0.5)
    slack.progress(np.array([1]), np.array([12]), 0.6)  # longer than half of them
    assert lost(slack, 2000) == 0


def test_an_answer_of_one_token_has_no_time_per_token() -> None:
    assert lost(running((1, 1)), 10**6) == 0


def test_who_has_ended_is_not_counted_and_its_place_serves_another() -> None:
    slack = running((1, 11), (1, 11))
    slack.end(1)
    assert lost(slack, 5000) == 1


@given(
    answers=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 300)), min_size=1, max_size=6),
    tokens=st.integers(0, 5000),
    backlog=st.integers(0, 3000),
    now_s=st.floats(0, 20),
)
def test_it_is_what_playing_the_steps_one_by_one_comes_to(
    answers: list[tuple[int, int]], tokens: int, backlog: int, now_s: float
) -> None:
    steps = StepCosts(0.05, 0.001, room_tokens=500, backlog_tokens=backlog)
    expected = 0
    for out, length in answers:
        before, after = (_played_s(out, length, ahead) for ahead in (backlog, backlog + tokens))
        allowed_s = BOUND_S * (length - 1) - now_s
        if length > out and abs(before - allowed_s) > 1e-6 and abs(after - allowed_s) > 1e-6:
            expected += before <= allowed_s < after
        elif length > out:
            return  # on the edge: a matter of rounding
    assert lost(running(*answers, begun_s_ago=now_s), tokens, steps) == pytest.approx(expected)


def _played_s(out: int, length: int, prompts: int) -> float:
    seconds = 0.0
    for _ in range(length - out):
        computed = min(prompts, 500)
        prompts -= computed
        seconds += 0.05 + 0.001 * computed
    return seconds


# -- at the gate ---------------------------------------------------------------------------


def busy(settings: Settings = PROMISED) -> Controller:
    """One answer of 11 tokens has its first."""
    gate = Controller(WIDE, settings)
    gate.know_step_times(LINE)
    lease = accepted(gate.offer(offer(shape(100, 11)), 0.0))
    (row,) = gate.rows_of(lease)
    gate.progress(record({row: 1}, prefill_tokens=100, elapsed_s=0.15), 0.15)
    return gate


def test_a_prompt_that_would_stall_an_answer_waits_until_it_has_ended() -> None:
    gate = busy()
    ticket = queued(gate.offer(offer(shape(2000, 100)), 0.2))
    assert gate.binding is Limit.DECODE
    assert gate.tick(0.25) == []
    turns = gate.release(1, 0.7, in_engine=False)
    assert [turn.ticket_id for turn in turns] == [ticket]


def test_a_step_that_runs_is_counted_as_a_whole_however_much_of_it_is_over() -> None:
    # it bears 1,150 tokens at 0.15 s; those that are computed meanwhile are still ahead
    for at_s in (0.15, 0.6):
        gate = busy()
        accepted(gate.offer(offer(shape(500, 100)), 0.15))
        accepted(gate.offer(offer(shape(500, 100)), at_s))


def test_a_short_prompt_starts_at_once() -> None:
    accepted(busy().offer(offer(shape(500, 100)), 0.2))


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(policy=Policy.STATIC, tpot_target_s=0.2)]
)
def test_without_a_bound_or_under_static_no_request_waits_for_answers(settings: Settings) -> None:
    accepted(busy(settings).offer(offer(shape(2000, 100)), 0.2))


def test_an_engine_as_slow_as_the_bound_alone_takes_one_request_after_another() -> None:
    gate = Controller(WIDE, PROMISED)
    gate.know_step_times(StepCoefficients(0.1, 0.001, 0.05, 0.0))
    accepted(gate.offer(offer(shape(10, 100)), 0.0))
    queued(gate.offer(offer(shape(10, 100)), 0.0))


def test_before_anything_is_known_of_its_steps_an_engine_is_not_paced() -> None:
    gate = Controller(WIDE, PROMISED)
    accepted(gate.offer(offer(shape(100, 11)), 0.0))
    accepted(gate.offer(offer(shape(4000, 100)), 0.0))


def test_one_that_waits_for_others_answers_beyond_its_deadline_is_told_so() -> None:
    gate = busy()
    queued(gate.offer(offer(shape(2000, 100), arrived_at_s=0.2, patience_s=3.0), 0.2))
    # after the step that runs, over by now, four with prompts take 2.2 s
    assert gate.tick(0.95) == []
    (turn,) = gate.tick(1.05)
    assert turn.decision.reason is Reason.TPOT_SLO


# -- the first token -----------------------------------------------------------------------


def test_a_prompt_that_takes_longer_than_its_deadline_is_refused_at_once() -> None:
    gate = Controller(WIDE, Settings())
    gate.know_step_times(LINE)
    seconds = LINE.seconds(prefill_tokens=100, decode_sequences=0, context_tokens=0)
    for _ in range(40):  # measured: a prior alone refuses no request of an idle engine
        gate.speed.steps.observe(TimedStep(100, 0, 0, seconds))
    refusal = refused(gate.offer(offer(shape(6000, 10), patience_s=5.0), 0.0))
    assert refusal.reason is Reason.TTFT_SLO
    assert refusal.retry_after_s is not None
    assert 1 <= refusal.retry_after_s < inf


def test_who_has_waited_for_long_may_cost_the_others_a_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = busy()
    monkeypatch.setattr(Slack, "lost_by", lambda *_, **__: 0.06)
    price = gate.quote(offer(shape(500, 100))).price
    shares = (0.0, 0.3, 0.6, 0.7, 1.0)
    assert [gate.timing.keeps_tpot(price, each) for each in shares] == [False] * 3 + [True] * 2


def test_the_step_that_runs_is_not_waited_for_twice() -> None:
    # 1,000 tokens ahead and 1,000 of its own are there 2.2 s after the step began
    for later_s, patience_s in ((0.0, 2.3), (0.4, 1.9), (0.5, 1.8)):
        gate = Controller(WIDE, Settings())
        gate.know_step_times(LINE)
        accepted(gate.offer(offer(shape(1000, 10), patience_s=5.0), 0.0))
        late = offer(shape(1000, 10), arrived_at_s=later_s, patience_s=patience_s)
        accepted(gate.offer(late, later_s))


def test_prompts_ahead_count_against_the_deadline_of_one_that_could_start() -> None:
    gate = Controller(WIDE, Settings())
    gate.know_step_times(LINE)
    accepted(gate.offer(offer(shape(3000, 10), patience_s=5.0), 0.0))
    accepted(gate.offer(offer(shape(500, 10), patience_s=5.0), 0.0))
    assert refused(gate.offer(offer(shape(1500, 10), patience_s=5.0), 0.0)).limit is Limit.PREFILL
