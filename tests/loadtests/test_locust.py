"""`locust -f loadtests/locustfile.py` as a process of its own: it patches the interpreter.

All runs go on at once, for most of their time is Locust's start.
"""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.record import Outcome, RunRecord, read_run
from tests.loadtests.mock_endpoint import MockEndpoint, Script, serving

pytestmark = pytest.mark.alone  # client and endpoint share real time: it must not be scarce

ROOT = Path(__file__).resolve().parents[2]
SLO = ("--slo", "ttft_p95<=20s,tpot_p95<=9s,success>=99%")  # loose: the machine may be busy
SIMULATED = {"time_scale": 10.0, "simulation": {}, "mode": "enforce"}
QUICK = Script(first_s=0.02, gap_s=0.002, tokens=5)
FAILING = Script(gap_s=0.002, tokens=5, error_after=2)
REFUSING = Script(status=429, headers={"x-sluice-reason": "kv_capacity"}, code="kv_capacity")


@dataclass
class Locust:
    """One run that goes on; `ended` waits for it."""

    process: subprocess.Popen[str]
    records: Path
    endpoint: MockEndpoint | None
    code: int = -1
    said: str = ""

    def ended(self) -> "Locust":
        if not self.said:
            self.said, _ = self.process.communicate(timeout=60)
            self.code = self.process.returncode
        return self

    @property
    def run(self) -> RunRecord:
        return read_run(self.ended().records)


def started(url: str, folder: Path, *options: str, endpoint: MockEndpoint | None = None) -> Locust:
    folder.mkdir()
    records = folder / "run.jsonl"
    file = str(ROOT / "loadtests" / "locustfile.py")
    command = (sys.executable, "-m", "locust", "-f", file, "--headless", "--only-summary")
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--host", url, "--records", str(records), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Locust(process, records, endpoint)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Locust]]:
    """A closed loop of four users, an open loop that drains a gateway that refuses, and nobody."""
    folder = tmp_path_factory.mktemp("runs")
    smoke = ("--scenario", "smoke", *SLO)
    drain = ("--shape", "drain", "--rate", "2", "--duration", "10")
    with serving(QUICK, state=SIMULATED) as quick, serving(REFUSING, state=SIMULATED) as refusing:
        yield {
            "closed": started(
                quick.url,
                folder / "a",
                "-u",
                "4",
                "-r",
                "20",
                "-t",
                "5",
                *smoke,
                "--report",
                "told",
                endpoint=quick,
            ),
            "open": started(refusing.url, folder / "b", *drain, *smoke, endpoint=refusing),
            "down": started("http://127.0.0.1:9", folder / "c", *smoke),
        }


def test_a_closed_loop_keeps_its_users_busy(runs: dict[str, Locust]) -> None:
    closed = runs["closed"].ended()
    assert closed.code in {0, 3}, closed.said  # 3 = this machine was too busy, and says so
    assert (closed.code == 3) == bool(closed.run.client["flaws"])
    assert closed.endpoint is not None
    seen = closed.endpoint.seen
    assert max(each.running for each in seen) == 4
    records = closed.run.records
    assert len(records) >= 4
    assert {record.outcome for record in records} == {Outcome.ANSWERED}
    assert 0 <= closed.run.client["unfinished"] <= 4  # cut off in the middle at the end


def test_all_times_are_modelled(runs: dict[str, Locust]) -> None:
    run = runs["closed"].run
    assert run.about["endpoint"]["time_scale"] == 10.0
    assert all(record.ttft_s is not None and record.ttft_s >= 0.2 for record in run.records)


def test_lengths_are_told_to_the_engine_and_the_run_to_the_gateway(
    runs: dict[str, Locust],
) -> None:
    closed = runs["closed"].ended()
    assert closed.endpoint is not None
    seen = closed.endpoint.seen
    assert all("simulated_output_tokens" in each.body["vllm_xargs"] for each in seen)
    assert {each.headers["x-sluice-run"] for each in seen} == {closed.run.about["run"]}


def test_ttft_and_tpot_are_rows_of_their_own(runs: dict[str, Locust]) -> None:
    said = runs["closed"].ended().said
    for row in ("TTFT     smoke", "TPOT     smoke", "request  smoke"):
        assert row in said
    assert "SLO met: ttft_p95" in said


def test_the_report_of_a_run_lies_where_it_was_asked_for(runs: dict[str, Locust]) -> None:
    closed = runs["closed"].ended()
    assert "report in told/report.html" in closed.said
    page = (closed.records.parent / "told" / "report.html").read_text(encoding="utf-8")
    assert "closed loop, 4 users" in page
    assert "--report told" in closed.run.about["command"]


def test_an_open_loop_ends_by_itself_and_a_missed_promise_is_exit_code_1(
    runs: dict[str, Locust],
) -> None:
    found = runs["open"].ended()
    assert found.code in {1, 3}, found.said
    assert found.endpoint is not None
    assert found.endpoint.drained
    assert {record.reason for record in found.run.records} == {"kv_capacity"}
    assert found.run.client["unfinished"] == 0
    assert "SLO MISSED" in found.said
    assert "0 answered" in found.said


def test_an_endpoint_that_is_down_is_exit_code_4(runs: dict[str, Locust]) -> None:
    found = runs["down"].ended()
    assert found.code == 4, found.said
    assert "endpoint down: http://127.0.0.1:9/v1/models" in found.said
    assert not found.records.exists()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locust]:
    """Conversations of a file, asked of an endpoint that refuses and fails some."""
    folder = tmp_path_factory.mktemp("mixed")
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"turns": [f"{n}?", "more?"]}) + "\n" for n in range(9)))
    given = ("--prompts", str(prompts), "--model", "mock", "--hang-up", "0.2", *SLO)
    users = ("-u", "4", "-r", "20", "-t", "4")
    turns = itertools.cycle([QUICK, REFUSING, QUICK, FAILING])
    with serving(lambda _: next(turns), state=SIMULATED) as endpoint:
        url = f"{endpoint.url}/v1/"
        yield started(url, folder / "run", *given, *users, endpoint=endpoint).ended()


def test_locusts_own_statistics_are_ours(mixed: Locust) -> None:
    records = mixed.run.records
    failed = [each for each in records if each.outcome in {Outcome.REFUSED, Outcome.FAILED}]
    rows = {
        line[:19].strip(): re.findall(r"[\d.]+", line[72:])
        for line in mixed.said.partition("Response time percentiles")[0].splitlines()
    }
    for kind, values, failures in (
        ("request  prompts.js", [each.e2e_s for each in records], len(failed)),
        ("Aggregated", [each.e2e_s for each in records], len(failed)),  # not TTFT and TPOT besides
        ("TTFT     prompts.js", [each.ttft_s for each in records if each.ttft_s is not None], 0),
        ("TPOT     prompts.js", [each.tpot_s for each in records if each.tpot_s is not None], 0),
    ):
        count, failures_told, _, mean_ms, _, longest_ms, *_ = map(float, rows[kind])
        assert (count, failures_told) == (len(values), failures)
        assert mean_ms == pytest.approx(sum(values) / len(values) * 1000, abs=1)
        assert longest_ms == pytest.approx(max(values) * 1000, abs=1)
    reasons = {f"{each.outcome}: {each.reason}" for each in failed}
    assert reasons == {"refused: kv_capacity", "failed: engine_died"}
    for reason in reasons:
        count = sum(f"{each.outcome}: {each.reason}" == reason for each in failed)
        assert re.search(rf"^{count} +request prompts.jsonl: {reason} *$", mixed.said, re.MULTILINE)


def test_prompts_of_a_file_are_asked_turn_by_turn(mixed: Locust) -> None:
    assert mixed.endpoint is not None
    asked = [[m["content"] for m in each.body["messages"]] for each in mixed.endpoint.seen]
    assert {len(each) for each in asked} == {1, 3}
    second = next(each for each in asked if len(each) == 3)
    assert second[0].endswith("?")
    assert second[1:] == [" word word word word word", "more?"]
    assert {record.turn for record in mixed.run.records} == {1, 2}
    assert mixed.run.about["scenario"] == "prompts.jsonl"
    assert "9 prompts from prompts.jsonl with 18 turns" in mixed.said
    assert "prompts had been asked before in this run" in mixed.said
    assert "why: " in mixed.said
    assert "engine_died" in mixed.said
    assert "(boom)" in mixed.said
