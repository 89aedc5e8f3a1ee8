"""Reading a decision log: lines become requests, each with its turn and its end."""

from pathlib import Path

import pytest

from admission.terms.decision import Outcome
from loadtests.lab.replay.entry import LogEntry
from loadtests.lab.replay.read import entries_of, read_log
from loadtests.lab.replay.traffic import parts_of
from loadtests.lab.replay.true_lengths import Length, lengths_of
from tests.loadtests.lab.log_cases import decision, end, write


def one(*records: dict[str, object]) -> LogEntry:
    (entry,) = entries_of(records)
    return entry


def test_a_request_has_its_answer_on_arrival_its_turn_and_its_end() -> None:
    entry = one(decision(outcome="queued"), decision(at_s=2.0), end(waited_s=2.0))
    assert (entry.asked.at_s, entry.fate.first) == (0.0, Outcome.QUEUED)
    assert (entry.fate.waited_s, entry.fate.output_tokens) == (2.0, 12)
    assert entry.in_slo(entry.fate)


def test_who_waited_in_vain_was_refused() -> None:
    refused = decision(outcome="rejected", reason="ttft_slo")
    entry = one(decision(outcome="queued"), refused)
    assert entry.fate.refused
    assert not entry.in_slo(entry.fate)


def test_in_mode_shadow_who_would_be_refused_is_served() -> None:
    would = decision(mode="shadow", outcome="rejected", reason="kv_capacity")
    entry = one(would, end())
    assert (entry.fate.reason, entry.fate.refused) == ("kv_capacity", False)
    assert entry.in_slo(entry.fate)


def test_an_id_that_comes_again_is_another_request() -> None:
    refused = decision(outcome="rejected", reason="slots")
    first, second, third = entries_of([refused, refused, decision(), end()])
    assert (first.fate.refused, second.fate.refused) == (True, True)
    assert third.fate.whole


def test_two_replicas_in_one_log_are_kept_apart() -> None:
    records = [
        decision("x", replica="one"),
        decision("x", replica="two"),
        end("x", replica="two", output_tokens=7),
        end("x", replica="one", output_tokens=9),
    ]
    entries = entries_of(records)
    assert [entry.fate.output_tokens for entry in entries] == [9, 7]
    parts = parts_of(entries, lengths_of(entries, seed=1), deadline_s=(1.0, 1.0))
    assert [(part.replica, part.places) for part in parts] == [("one", (0,)), ("two", (1,))]


def test_a_clock_that_goes_back_is_a_new_start(tmp_path: Path) -> None:
    lines = [decision("a", 100.0), end("a"), decision("b", 3.0), end("b")]
    log = read_log(write(tmp_path / "d.jsonl", lines))
    assert log.replicas == ("one", "one#2")
    assert [entry.fate.whole for entry in log.entries] == [True, True]


def test_a_broken_last_line_is_left_out_with_a_warning(tmp_path: Path) -> None:
    log = read_log(write(tmp_path / "d.jsonl", [decision(), end()], tail='{"v": 1, "id"'))
    assert log.warnings == ("line 3, the last one, is not whole and is left out",)
    assert len(log.entries) == 1


def test_endings_of_who_came_before_the_log_are_counted(tmp_path: Path) -> None:
    log = read_log(write(tmp_path / "d.jsonl", [end("old"), decision(), end()]))
    assert log.warnings == ("1 endings of requests that began before the log are left out",)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"v": 2}, "version 2; this lab reads decision logs of version 1"),
        ({"v": None}, "no version; this lab reads"),
        ({"prompt_tokens": "many"}, "no line of a decision log: prompt_tokens:"),
    ],
)
def test_another_version_or_another_file_is_refused_by_its_line(
    tmp_path: Path, line: dict[str, object], told: str
) -> None:
    path = write(tmp_path / "d.jsonl", [decision(), decision(**line)])
    with pytest.raises(ValueError, match=f"d.jsonl:2: {told}"):
        read_log(path)


def test_a_log_without_decisions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no decision in 1 lines"):
        read_log(write(tmp_path / "d.jsonl", [end()]))


def test_unknown_lengths_are_drawn_from_those_of_their_class() -> None:
    finished = [(decision(f"f{n}"), end(f"f{n}", output_tokens=30 + n)) for n in range(6)]
    records = [record for pair in finished for record in pair]
    records += [decision("r", outcome="rejected", reason="slots"), decision("still")]
    entries = entries_of(records)
    lengths = lengths_of(entries, seed=1)
    assert (lengths.drawn_refused, lengths.drawn_unended) == (1, 1)
    assert all(30 <= tokens <= 35 for tokens, _ in lengths.lengths)
    assert lengths == lengths_of(entries, seed=1)
    assert lengths != lengths_of(entries, seed=2)


def test_a_length_that_nothing_tells_is_the_one_that_was_predicted() -> None:
    entries = entries_of([decision(outcome="rejected", reason="slots")])
    assert lengths_of(entries, seed=1).lengths == (Length(10, False),)


def test_a_cut_answer_is_cut_again_and_one_left_is_as_long_as_it_was() -> None:
    cut = decision("c"), end("c", output_tokens=64, finish="length")
    left = decision("l"), end("l", output_tokens=5, finish="abort")
    entries = entries_of([*cut, *left])
    lengths = lengths_of(entries, seed=1)
    assert lengths.lengths == (Length(64, True), Length(5, False))
    assert lengths.cut_by_clients == 1
    (part,) = parts_of(entries, lengths, deadline_s=(1.0, 1.0))
    assert [(each.output_tokens, each.max_tokens) for each in part.workload.requests] == [
        (65, 64),
        (5, 64),
    ]


def test_requests_come_as_they_came_with_what_was_known_of_them() -> None:
    entries = entries_of(
        [
            decision("a", 50.0, priority="high", cached_tokens=1024, prompt_tokens=2000),
            decision("b", 51.5, prompts=2, sequences=6, max_tokens=80, deadline_s=0.7),
        ]
    )
    (part,) = parts_of(entries, lengths_of(entries, seed=1), deadline_s=(1.0, 9.0))
    first, second = part.workload.requests
    assert (first.arrived_at_s, first.priority, first.deadline_s) == (0.0, "high", 9.0)
    assert first.prefix == ("a:0", "a:1"), "cached are two blocks of 512, the tenant's own"
    assert (second.arrived_at_s, second.deadline_s) == (1.5, 0.7), "its own deadline stays"
    assert (second.prompts, second.answers) == (2, 3)
    assert (second.prompt_tokens, second.max_tokens) == (16, 40)
    assert second.engine_ids == tuple(f"1.{n}" for n in range(6))
