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
