"""Engine sequences followed into rows of the ledger."""

from dataclasses import dataclass, field

from serve.engine_step import EngineStep, Finished
from serve.gate.sequences import Sequences


@dataclass
class Stats:
    num_generation_tokens: int = 0


@dataclass
class State:
    external_req_id: str
    request_index: int = 0
    stats: Stats = field(default_factory=Stats)


def running(*states: tuple[str, str, int, int]) -> dict[str, State]:
    """By vLLM's own id: (own id, our id, index, tokens)."""
    return {own: State(ours, index, Stats(tokens)) for own, ours, index, tokens in states}


def finished(engine_id: str, reason: str = "stop") -> Finished:
    return Finished(engine_id, 9, reason, 0.0, 0.1, 0.02, 0)


def test_a_sequence_is_adopted_when_first_seen_and_then_reported_with_its_tokens() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=False)
    record = sequences.read(EngineStep(running(("a-0f", "a", 0, 3))))
    assert record.rows.tolist() == [5]
    assert record.generated.tolist() == [3]


def test_children_of_n_take_the_rows_in_order() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5, 6, 7), stops=False)
    states = running(("2_a-0f", "a", 2, 4), ("0_a-0f", "a", 0, 1))
    record = sequences.read(EngineStep(states))
    assert dict(zip(record.rows.tolist(), record.generated.tolist(), strict=True)) == {7: 4, 5: 1}


def test_what_no_lease_started_is_not_counted() -> None:
    record = Sequences().read(EngineStep(running(("x-0f", "x", 0, 3))))
    assert record.rows.tolist() == []
    assert record.ended == record.ending == ()


def test_a_finished_sequence_has_ended_at_once() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=False)
    sequences.read(EngineStep(running(("a-0f", "a", 0, 3))))
    record = sequences.read(EngineStep({}, finished=(finished("a"),)))
    assert (record.ended, record.ending) == ((5,), ())


def test_a_stop_string_ends_in_the_front_end_so_the_engine_still_holds_it() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=True)
    sequences.read(EngineStep(running(("a-0f", "a", 0, 3))))
    record = sequences.read(EngineStep({}, finished=(finished("a"),)))
    assert (record.ended, record.ending) == ((), (5,))
    assert sequences.forget(1) is None  # it finished: nothing was cut


def test_an_aborted_sequence_vanishes_without_finishing_and_its_tokens_were_cut() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=False)
    sequences.read(EngineStep(running(("a-0f", "a", 0, 3))))
    record = sequences.read(EngineStep({}))
    assert (record.ended, record.ending) == ((), (5,))
    assert sequences.forget(1) == 3


def test_of_two_answers_one_may_finish_while_the_other_is_cut() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5, 6), stops=False)
    states = running(("0_a-0f", "a", 0, 3), ("1_a-0f", "a", 1, 4))
    sequences.read(EngineStep(states))
    record = sequences.read(EngineStep(running(("1_a-0f", "a", 1, 5)), finished=(finished("a"),)))
    assert (record.ended, record.ending) == ((5,), ())
    assert sequences.forget(1) == 5


def test_a_sequence_that_ends_with_its_first_token_has_ended_without_being_seen() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=False)
    record = sequences.read(EngineStep({}, finished=(finished("a", "length"),)))
    assert (record.rows.tolist(), record.ended, record.ending) == ([], (5,), ())
    assert sequences.forget(1) is None


def test_one_token_that_is_a_stop_string_leaves_the_engine_a_step_later() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=True)
    record = sequences.read(EngineStep({}, finished=(finished("a"),)))
    assert (record.ended, record.ending) == ((), (5,))


def test_of_three_answers_one_ends_unseen_and_the_others_keep_rows_of_their_own() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5, 6, 7), stops=False)
    first = sequences.read(EngineStep(running(("1_a", "a", 1, 1)), finished=(finished("a"),)))
    assert (first.rows.tolist(), first.ended) == ([6], (5,))
    states = running(("0_a", "a", 0, 1), ("1_a", "a", 1, 2))
    second = sequences.read(EngineStep(states))
    assert sorted(second.rows.tolist()) == [6, 7], "index 0 takes the row that is left"
    assert (second.ended, second.ending) == ((), ())
    last = sequences.read(EngineStep({}, finished=(finished("a"), finished("a"))))
    assert sorted(last.ended) == [6, 7]


def test_two_answers_may_end_unseen_in_one_step_and_one_may_end_seen() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5, 6, 7), stops=False)
    sequences.read(EngineStep(running(("2_a", "a", 2, 1))))
    record = sequences.read(EngineStep({}, finished=tuple(finished("a") for _ in range(3))))
    assert sorted(record.ended) == [5, 6, 7]


def test_more_ends_than_rows_end_nothing_else() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=False)
    sequences.start(2, "b", (6,), stops=False)
    record = sequences.read(EngineStep({}, finished=(finished("a"), finished("a"), finished("x"))))
    assert (record.ended, record.ending) == ((5,), ())


def test_a_forgotten_lease_is_reported_no_more() -> None:
    sequences = Sequences()
    sequences.start(1, "a", (5,), stops=False)
    states = running(("a-0f", "a", 0, 3))
    sequences.read(EngineStep(states))
    assert sequences.forget(1) == 3
    record = sequences.read(EngineStep(states))
    assert record.rows.tolist() == []
    assert record.ended == record.ending == ()
    assert sequences.forget(1) is None


def test_a_second_engine_request_of_a_lease_takes_the_rows_after_the_first() -> None:
    sequences = Sequences()
    sequences.start(1, "a-0", (5, 6), stops=False)
    assert sequences.started_rows(1) == 2
    sequences.start(1, "a-1", (7, 8), stops=False)
    assert sequences.started_rows(1) == 4
    assert sequences.lease_of("a-1") == (1, 7)


def test_what_the_engine_says_of_its_cache_goes_with_the_record() -> None:
    record = Sequences().read(EngineStep({}, kv_used_ratio=0.4, preempted=2))
    assert (record.kv_used_ratio, record.preempted) == (0.4, 2)
    assert Sequences().read(EngineStep({})).kv_used_ratio is None
