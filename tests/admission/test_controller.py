"""Offer, progress, release, tick."""

import pytest

from admission.controller import Controller
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Accepted, Limit, Priority, Queued, Reason
from admission.terms.settings import Mode, Policy, Settings
from tests.admission.examples import (
    ENGINE,
    EXACT,
    accepted,
    engine,
    is_empty,
    offer,
    queued,
    record,
    refused,
    shape,
    warm,
)

IN_TURN = Settings(kv_headroom_ratio=0.0, queue_look_past_requests=0, queue_cost_weight=0.0)
LARGE, MEDIUM, SMALL = shape(1000, 500), shape(400, 200), shape(16, 16)


def busy(settings: Settings = EXACT) -> tuple[Controller, int]:
    """One large request runs; another large one does not fit beside it, a small one does."""
    controller = Controller(ENGINE, settings)
    return controller, accepted(controller.offer(offer(LARGE), 0.0))


def end(controller: Controller, lease_id: int, now_s: float) -> list[int]:
    """The engine ended the lease's sequences; returns the tickets accepted thereby."""
    turns = controller.progress(record({}, ended=controller.rows_of(lease_id)), now_s)
    turns += controller.release(lease_id, now_s, in_engine=True)
    return [turn.ticket_id for turn in turns if isinstance(turn.decision, Accepted)]


# -- accepting and waiting -----------------------------------------------------------------


def test_what_fits_is_accepted_at_once_and_holds_its_place() -> None:
    controller = Controller(ENGINE, EXACT)
    answer = controller.offer(offer(MEDIUM), 0.0)
    assert answer.would == answer.decision
    assert answer.ticket_id is None
    assert controller.ledger.curve.peak() == answer.quote.price.blocks_peak
    assert len(controller.rows_of(accepted(answer))) == 1


def test_what_does_not_fit_waits_and_is_told_its_place_and_what_binds() -> None:
    controller, _ = busy()
    warm(controller)
    first = controller.offer(offer(LARGE), 0.0)
    second = controller.offer(offer(LARGE), 0.0)
    assert isinstance(first.decision, Queued)
    assert isinstance(second.decision, Queued)
    assert (first.decision.position, second.decision.position) == (1, 2)
    assert (first.decision.limit, controller.binding) == (Limit.KV, Limit.KV)
    assert 0 < first.decision.predicted_wait_s < second.decision.predicted_wait_s


def test_small_request_does_not_overtake_a_waiting_large_one() -> None:
    controller, running = busy(IN_TURN)
    large = queued(controller.offer(offer(LARGE), 0.0))
    small = queued(controller.offer(offer(SMALL), 0.0))
    assert controller.tick(0.5) == []
    assert end(controller, running, 1.0) == [large, small]


def test_a_long_request_is_passed_by_those_that_come_soon_after_it_and_by_no_others() -> None:
    terms = Settings(kv_headroom_ratio=0.0, queue_look_past_requests=0, queue_cost_weight=0.5)
    controller, running = busy(terms)
    controller.know_step_times(StepCoefficients(0.0, 0.004, 0.0, 0.0))
    large = queued(controller.offer(offer(LARGE), 0.0))  # takes 4 s
    soon = queued(controller.offer(offer(SMALL, arrived_at_s=1.9), 1.9))
    late = queued(controller.offer(offer(SMALL, arrived_at_s=2.1), 2.1))
    assert end(controller, running, 2.2) == [soon, large, late]


def test_under_a_fixed_limit_no_request_passes() -> None:
    controller = Controller(ENGINE, Settings(policy=Policy.STATIC, static_limit=1))
    controller.know_step_times(StepCoefficients(0.0, 0.004, 0.0, 0.0))
    running = accepted(controller.offer(offer(LARGE), 0.0))
    large = queued(controller.offer(offer(LARGE), 0.0))
    queued(controller.offer(offer(SMALL), 0.0))
    assert end(controller, running, 1.0) == [large]


def test_a_long_request_behind_short_ones_gets_its_turn() -> None:
    controller, running = busy()
    large = queued(controller.offer(offer(LARGE, tenant="large"), 0.0))
    crowd = [queued(controller.offer(offer(SMALL, tenant="crowd"), 0.0)) for _ in range(20)]
    assert end(controller, running, 1.0)[0] in (large, crowd[0])
    assert large not in controller.queue


def test_a_higher_class_overtakes_the_queue() -> None:
    controller, running = busy(IN_TURN)
    normal = queued(controller.offer(offer(LARGE), 0.0))
    accepted(controller.offer(offer(SMALL, priority=Priority.HIGH), 0.0))
    high = queued(controller.offer(offer(LARGE, priority=Priority.HIGH), 0.0))
    low = queued(controller.offer(offer(SMALL, priority=Priority.LOW), 0.0))
    assert end(controller, running, 1.0) == [high]
    assert normal in controller.queue
    assert low in controller.queue


def test_a_request_that_leaves_the_queue_gets_no_turn() -> None:
    controller, running = busy()
    first, second = (queued(controller.offer(offer(LARGE), 0.0)) for _ in range(2))
    controller.leave_queue(first)
    controller.leave_queue(first)
    assert end(controller, running, 1.0) == [second]
    controller.leave_queue(second)  # had its turn: ignored


def test_one_pass_moves_at_most_sixty_four() -> None:
    wide = engine(usable_blocks=10_000, max_sequences=200)
    controller = Controller(wide, Settings(prefill_backlog_max_tokens=10**6))
    blocker = accepted(controller.offer(offer(shape(16, 16, sequences=200)), 0.0))
    for number in range(100):
        queued(controller.offer(offer(SMALL, tenant=str(number)), 0.0))
    assert len(controller.release(blocker, 1.0, in_engine=False)) == 64
    assert len(controller.tick(1.1)) == 36


# -- the life of a lease -------------------------------------------------------------------


def test_a_second_release_changes_nothing() -> None:
    controller, running = busy()
    controller.release(running, 1.0, in_engine=False)
    other = accepted(controller.offer(offer(LARGE), 1.0))
    assert controller.release(running, 2.0, in_engine=False) == []
    assert list(controller.ledger.leases) == [other]


def test_an_aborted_lease_counts_until_the_engine_has_heard_of_it() -> None:
    controller, running = busy()
    ticket = queued(controller.offer(offer(LARGE), 0.0))
    assert controller.release(running, 0.1, in_engine=True) == []
    assert controller.progress(record({}), 0.2) == []
    assert controller.progress(record({}), 0.3) == []
    (turn,) = controller.progress(record({}), 0.4)
    assert turn.ticket_id == ticket


def test_an_aborted_lease_of_an_idle_engine_ends_within_a_second() -> None:
    controller, running = busy()
    controller.release(running, 0.1, in_engine=True)
    controller.tick(1.0)
    assert not is_empty(controller.ledger)
    controller.tick(1.1)
    assert is_empty(controller.ledger)


def test_a_dead_engine_holds_nothing() -> None:
    controller, running = busy()
    controller.engine_down = True
    controller.release(running, 0.1, in_engine=True)
    assert is_empty(controller.ledger)


def test_a_row_reported_as_ended_while_its_abort_is_pending_ends_once() -> None:
    controller, running = busy()
    (row,) = controller.rows_of(running)
    controller.release(running, 0.1, in_engine=True)
    controller.progress(record({}, ended=(row,)), 0.2)
    other = accepted(controller.offer(offer(LARGE), 0.3))
    for step in range(5):
        controller.progress(record({}, ended=(row,), ending=(row,)), 0.4 + step)
    assert list(controller.ledger.leases) == [other]
    assert controller.ledger.sequences == 1


def test_a_front_end_stop_is_freed_some_records_later() -> None:
    controller, running = busy()
    (row,) = controller.rows_of(running)
    controller.progress(record({}, ending=(row,)), 0.1)
    assert controller.ledger.sequences == 1
    for step in range(3):
        controller.progress(record({}), 0.2 + step / 10)
    assert controller.ledger.sequences == 0
    controller.release(running, 0.6, in_engine=True)
    assert is_empty(controller.ledger)


@pytest.mark.parametrize("lookahead_tokens", [0, 1])
def test_a_sequence_that_ended_is_free_at_once(lookahead_tokens: int) -> None:
    """Asynchronous, too: what a step under way still writes is overwritten in its order."""
    controller = Controller(engine(lookahead_tokens=lookahead_tokens), EXACT)
    lease = accepted(controller.offer(offer(LARGE), 0.0))
    controller.progress(record({}, ended=controller.rows_of(lease)), 0.1)
    assert controller.ledger.sequences == 0


def test_released_leases_end_with_their_last_row() -> None:
    controller = Controller(ENGINE, EXACT)
    lease = accepted(controller.offer(offer(shape(16, 160, sequences=3)), 0.0))
    rows = controller.rows_of(lease)
    controller.progress(record({}, ended=rows[:1]), 0.1)
    assert controller.rows_of(lease) == rows
    controller.release(lease, 0.2, in_engine=True)
    controller.progress(record({}, ended=rows[1:]), 0.3)
    assert is_empty(controller.ledger)


# -- predictions ---------------------------------------------------------------------------


def teach(controller: Controller, tokens: int, times: int = 50, **fields: object) -> None:
    """So many answers of one length."""
    for _ in range(times):
        lease = accepted(controller.offer(offer(shape(16, 500, **fields)), 0.0))
        controller.learn(lease, controller.rows_of(lease)[0], tokens)
        controller.release(lease, 0.0, in_engine=False)


def test_answers_that_ended_by_themselves_set_the_price_of_the_next() -> None:
    controller = Controller(ENGINE, EXACT)
    teach(controller, 20, ignore_eos=False)
    quote = controller.quote(offer(shape(16, 500, ignore_eos=False)))
    assert quote.price.output_tokens == 20


@pytest.mark.parametrize("fields", [{"ignore_eos": True}, {"ignore_eos": False, "min_tokens": 9}])
def test_lengths_the_client_fixed_teach_nothing(fields: dict[str, object]) -> None:
    controller = Controller(ENGINE, EXACT)
    teach(controller, 20, **fields)
    assert controller.quote(offer(shape(16, 500, ignore_eos=False))).price.output_tokens == 500


def test_a_lesson_about_a_released_lease_is_ignored() -> None:
    controller, running = busy()
    rows = controller.rows_of(running)
    controller.release(running, 0.0, in_engine=True)
    controller.learn(running, rows[0], 20)
    assert controller.lengths.version == 0


def test_what_waits_is_priced_anew_when_more_is_known() -> None:
    controller, running = busy()
    asked = offer(shape(400, 600, ignore_eos=False))
    ticket = queued(controller.offer(asked, 0.0))
    (row,) = controller.rows_of(running)
    for _ in range(50):
        controller.lengths.learn(controller.quote(asked).keys[0], 20)
    (turn,) = controller.progress(record({row: 1}, prefill_tokens=1000), 0.1)
    assert turn.ticket_id == ticket
    assert turn.quote.price.output_tokens == 20


def test_an_answer_that_outlives_its_prediction_is_priced_given_what_it_produced() -> None:
    controller = Controller(ENGINE, EXACT)
    teach(controller, 20, ignore_eos=False)
    lease = accepted(controller.offer(offer(shape(16, 500, ignore_eos=False)), 0.0))
    (row,) = controller.rows_of(lease)
    controller.progress(record({row: 19}, prefill_tokens=16), 0.1)
    assert controller.outgrown() == []
    controller.progress(record({row: 20}), 0.2)
    assert controller.outgrown() == [lease]
    assert controller.ledger.predicted_tokens(row) == 20 + 64
    assert controller.ledger.curve.peak() == 7
    controller.release(lease, 0.3, in_engine=True)
    assert controller.outgrown() == []


def test_a_known_length_is_never_outgrown() -> None:
    controller = Controller(ENGINE, EXACT)
    lease = accepted(controller.offer(offer(shape(16, 20)), 0.0))
    (row,) = controller.rows_of(lease)
    controller.progress(record({row: 20}), 0.1)
    assert controller.outgrown() == []


# -- modes and policies --------------------------------------------------------------------


def test_shadow_lets_everything_pass_and_says_what_it_would_have_done() -> None:
    controller, _ = busy(Settings(mode=Mode.SHADOW))
    waits = controller.offer(offer(LARGE), 0.0)
    assert isinstance(waits.would, Queued)
    accepted(waits)
    never = controller.offer(offer(shape(16, 16, sequences=5)), 0.0)
    assert getattr(never.would, "reason", None) is Reason.NEVER_FITS
    accepted(never)
    assert controller.ledger.sequences == 7


def test_off_judges_nothing_but_still_counts() -> None:
    controller, running = busy(Settings(mode=Mode.OFF))
    answer = controller.offer(offer(LARGE), 0.0)
    assert answer.would == answer.decision
    assert controller.ledger.sequences == 2
    controller.release(running, 0.0, in_engine=False)
    controller.release(accepted(answer), 0.0, in_engine=False)
    assert is_empty(controller.ledger)


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_a_closed_gate_is_closed_in_every_mode(mode: Mode) -> None:
    controller = Controller(ENGINE, Settings(mode=mode))
    controller.draining = True
    assert refused(controller.offer(offer(), 0.0)).reason is Reason.DRAINING


def test_the_worst_case_promises_max_tokens_from_the_start() -> None:
    controller = Controller(ENGINE, Settings(policy=Policy.WORST_CASE, kv_headroom_ratio=0.0))
    lease = accepted(controller.offer(offer(shape(400, 400, ignore_eos=False)), 0.0))
    assert controller.ledger.curve.blocks_now() == 50
    accepted(controller.offer(offer(shape(400, 400)), 0.0))
    queued(controller.offer(offer(SMALL), 0.0))
    (row,) = controller.rows_of(lease)
    controller.progress(record({row: 399}), 0.1)
    assert controller.outgrown() == []


def test_static_counts_places() -> None:
    controller = Controller(ENGINE, Settings(policy=Policy.STATIC, static_limit=2))
    for _ in range(2):
        accepted(controller.offer(offer(LARGE), 0.0))
    answer = controller.offer(offer(SMALL), 0.0)
    queued(answer)
    assert isinstance(answer.decision, Queued)
    assert answer.decision.limit is Limit.SLOTS


def test_a_turn_of_a_tool_enlarges_what_is_held_and_is_never_refused() -> None:
    controller, _ = busy()
    further = controller.enlarge(offer(LARGE))
    assert len(controller.rows_of(further)) == 1
    assert controller.ledger.sequences == 2
    controller.release(further, 0.1, in_engine=False)
    assert controller.ledger.sequences == 1


# -- changing course -----------------------------------------------------------------------


def test_a_smaller_limit_stops_admitting_and_ends_nothing() -> None:
    controller = Controller(ENGINE, EXACT)
    leases = [accepted(controller.offer(offer(SMALL), 0.0)) for _ in range(4)]
    waiting = queued(controller.offer(offer(SMALL), 0.0))
    controller.reconfigure(Settings(policy=Policy.STATIC, static_limit=2))
    assert controller.tick(0.1) == []
    assert controller.ledger.sequences == 4
    assert end(controller, leases[0], 0.2) == []
    assert end(controller, leases[1], 0.3) == []
    assert end(controller, leases[2], 0.4) == [waiting]


def test_a_smaller_queue_drops_no_request() -> None:
    controller, running = busy()
    tickets = [queued(controller.offer(offer(LARGE), 0.0)) for _ in range(3)]
    controller.reconfigure(Settings(queue_max_requests=1))
    assert controller.tick(0.1) == []
    assert refused(controller.offer(offer(LARGE), 0.1)).reason is Reason.QUEUE_FULL
    assert end(controller, running, 0.2) == tickets[:1]


def test_a_new_policy_prices_the_queue_anew() -> None:
    controller, _ = busy()
    ticket = queued(controller.offer(offer(LARGE), 0.0))
    controller.reconfigure(Settings(policy=Policy.STATIC, static_limit=4))
    (turn,) = controller.tick(0.1)
    assert turn.ticket_id == ticket


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_what_waits_passes_when_enforcing_ends(mode: Mode) -> None:
    controller, _ = busy()
    tickets = [queued(controller.offer(offer(LARGE), 0.0)) for _ in range(3)]
    controller.reconfigure(Settings(mode=mode))
    assert [turn.ticket_id for turn in controller.tick(0.1)] == tickets


def test_explaining_changes_nothing() -> None:
    controller, _ = busy()
    queued(controller.offer(offer(LARGE), 0.0))
    asked = offer(SMALL)
    before = (len(controller.queue), controller.ledger.sequences, controller.ledger.curve.peak())
    first = controller.judge(asked, controller.quote(asked), 0.0)
    assert first == controller.judge(asked, controller.quote(asked), 0.0)
    assert isinstance(first, Queued)
    assert before == (
        len(controller.queue),
        controller.ledger.sequences,
        controller.ledger.curve.peak(),
    )
