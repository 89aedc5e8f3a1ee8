"""`locust -f loadtests/locustfile.py` as a process of its own: it patches the interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.record import Outcome, Run, read_run
from tests.loadtests.mock_endpoint import MockEndpoint, Script, serving

ROOT = Path(__file__).resolve().parents[2]
SLO = "ttft_p95<=20s,tpot_p95<=9s,success>=99%"  # modelled, and loose: the machine may be busy
SIMULATED = {"time_scale": 10.0, "simulation": {}, "mode": "enforce"}
QUICK = Script(first_s=0.02, gap_s=0.002, tokens=5)


def locust(url: str, folder: Path, *options: str) -> tuple[int, str, Path]:
    """Exit code, all that was said, and the run's file."""
    records = folder / "run.jsonl"
    file = ROOT / "loadtests" / "locustfile.py"
    locust_itself = (sys.executable, "-m", "locust", "-f", str(file), "--headless")
    found = subprocess.run(  # noqa: S603 - our own command
        [*locust_itself, "--only-summary", "--host", url, "--records", str(records), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return found.returncode, found.stdout + found.stderr, records


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Run, MockEndpoint]:
    """One run of a closed loop of four users."""
    folder = tmp_path_factory.mktemp("closed")
    with serving(QUICK, state=SIMULATED) as endpoint:
        options = ("-u", "4", "-r", "20", "-t", "4", "--scenario", "smoke", "--slo", SLO)
        code, said, records = locust(endpoint.url, folder, *options)
    return code, said, read_run(records), endpoint


def test_a_closed_loop_keeps_its_users_busy(
    closed: tuple[int, str, Run, MockEndpoint],
) -> None:
    code, said, run, endpoint = closed
    assert code in {0, 3}, said  # 3 = this machine was too busy to measure, and was told so
    assert (code == 3) == bool(run.client["flaws"])
    assert len(run.records) >= 4
    assert max(seen.running for seen in endpoint.seen) == 4
    assert {record.outcome for record in run.records} == {Outcome.ANSWERED}
    assert run.client["unfinished"] == len(endpoint.seen) - len(run.records)


def test_all_times_are_modelled(closed: tuple[int, str, Run, MockEndpoint]) -> None:
    _, _, run, _ = closed
    assert run.about["endpoint"]["time_scale"] == 10.0
    assert all(record.ttft_s is not None and record.ttft_s >= 0.2 for record in run.records)


def test_lengths_are_told_to_the_engine_and_the_run_to_the_gateway(
    closed: tuple[int, str, Run, MockEndpoint],
) -> None:
    _, _, run, endpoint = closed
    assert all("simulated_output_tokens" in seen.body["vllm_xargs"] for seen in endpoint.seen)
    assert {seen.headers["x-sluice-run"] for seen in endpoint.seen} == {run.about["run"]}


def test_ttft_and_tpot_are_rows_of_their_own(
    closed: tuple[int, str, Run, MockEndpoint],
) -> None:
    said = closed[1]
    for row in ("TTFT     smoke", "TPOT     smoke", "request  smoke"):
        assert row in said
    assert "SLO met: ttft_p95" in said


def test_an_open_loop_ends_by_itself_and_a_missed_promise_is_exit_code_1(tmp_path: Path) -> None:
    refused = Script(status=429, headers={"x-sluice-reason": "kv_capacity"}, code="kv_capacity")
    with serving(refused, state=SIMULATED) as endpoint:
        options = ("--shape", "drain", "--rate", "2", "--duration", "10", "--scenario", "smoke")
        code, said, records = locust(endpoint.url, tmp_path, *options, "--slo", SLO)
        assert endpoint.drained
    run = read_run(records)
    assert code in {1, 3}, said
    assert {record.reason for record in run.records} == {"kv_capacity"}
    assert run.client["unfinished"] == 0
    assert "SLO MISSED" in said
    assert "0 answered" in said


def test_an_endpoint_that_is_down_is_exit_code_4(tmp_path: Path) -> None:
    code, said, records = locust("http://127.0.0.1:9", tmp_path)
    assert code == 4, said
    assert "endpoint down: http://127.0.0.1:9/v1/models" in said
    assert not records.exists()
