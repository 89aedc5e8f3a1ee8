"""A run's file: what is written is read again, and holds no text."""

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests.record import Outcome, Record, RecordFile, RunRecord, Sample, read_run
from loadtests.recording import Recording

ANSWERED = Record("run-1", "chat", Outcome.ANSWERED, 1.5, 0.001, 9.0, ttft_s=0.25, tpot_s=0.03)


def written(path: Path, *records: Record) -> Path:
    file = RecordFile(path.open("w", encoding="utf-8"), {"run": "run", "patience_s": math.inf})
    for record in records:
        file.add(record)
    file.end({"flaws": []})
    file.close()
    return path


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = read_run(written(tmp_path / "run.jsonl", ANSWERED))
    assert run.records == (ANSWERED,)
    assert run.about == {"run": "run", "patience_s": None}
    assert run.client == {"flaws": []}


seconds = st.floats(0, 1e6).map(lambda value: round(value, 6))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.builds(
        Record,
        id=st.text(),
        kind=st.text(),
        outcome=st.sampled_from(Outcome),
        intended_at_s=seconds,
        lag_s=seconds,
        e2e_s=seconds,
        ttft_s=st.none() | seconds,
        reason=st.none() | st.text(),
        output_tokens=st.integers(0, 10**6),
    )
)
def test_any_record_survives_its_file(tmp_path: Path, record: Record) -> None:
    assert read_run(written(tmp_path / "run.jsonl", record)).records == (record,)


def test_every_line_is_plain_json_of_version_1(tmp_path: Path) -> None:
    for line in written(tmp_path / "run.jsonl", ANSWERED).read_text().splitlines():
        assert json.loads(line, parse_constant=pytest.fail)["v"] == 1


def test_a_record_has_no_place_for_text() -> None:
    assert not {"prompt", "answer", "text", "body"} & {field.name for field in fields(Record)}


def test_a_run_that_was_cut_off_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = written(path, ANSWERED).read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    run = read_run(path)
    assert (len(run.records), run.client) == (1, {})


def test_fields_of_a_later_addition_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(json.loads(ANSWERED.line()) | {"mood": "good"}))
    assert read_run(path).records == (ANSWERED,)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", ":1: not JSON"), ("[]", ":1: not a JSON object"), ('{"v": 2}', ":1: not version 1")],
)
def test_what_is_not_ours_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_run(path)


def test_what_was_recorded_is_what_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    about = {"run": "run", "slo": None}
    recording = Recording(about, RecordFile(path.open("w", encoding="utf-8"), about))
    sample = Sample(2.0, kv_held_tokens=160.0, decisions={"accepted": 3})
    recording.add(ANSWERED)
    recording.sample(sample)
    recording.limit({"sentence": "sustains 3"})
    recording.end({"flaws": []})
    recording.close()
    told = RunRecord(about, (ANSWERED,), {"flaws": []}, (sample,), {"sentence": "sustains 3"})
    assert recording.run() == read_run(path) == told


def test_instants_end_where_they_should() -> None:
    assert ANSWERED.ended_at_s == 10.5
