"""`sluice limit` from its first round to its exit code, against an endpoint of known limit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from loadtests.client import watch
from loadtests.limit import prediction
from loadtests.limit.prediction import Prediction
from loadtests.record import Outcome, read_run
from loadtests.scenarios import SMOKE
from serve.commands.cli import main
from tests.loadtests.mock_endpoint import MockEndpoint, Script, Seen, serving

pytestmark = pytest.mark.alone  # client and endpoint share real time: it must not be scarce

EDGE = 3  # users; one more and all of them wait for their first token
STATE = {
    "time_scale": 2.0,
    "simulation": {},
    "mode": "enforce",
    "settings": {"policy": "footprint"},
    "binding_limit": "kv",
}
SHORT = ("--scenario", "smoke", "--soak-s", "0.5", "--soak-requests", "12")
SLO = ("--slo", "ttft_p95<=500ms,success>=99%")


def script(seen: Seen) -> Script:
    """Quick up to the edge; above it 0.4 real seconds, which are 0.8 modelled ones, late."""
    return Script(first_s=0.4 if seen.running > EDGE else 0.01, gap_s=0.001, tokens=4)


@pytest.fixture
def mock() -> Iterator[MockEndpoint]:
    with serving(script, state=STATE) as endpoint:
        yield endpoint


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The plan says four; the result of another run, in mode off, is in this file."""
    monkeypatch.setattr("loadtests.limit.command.predict", lambda *_: Prediction(3, 4, 5, "decode"))
    other = tmp_path / "off.json"
    other.write_text(json.dumps({"sentence": "sustains 1 ...", "endpoint": {"mode": "off"}}))
    return other


def limit(url: str, *options: str) -> int:
    return main(["limit", "--host", url, *SHORT, *SLO, *options])


def test_the_limit_is_found_and_told(
    mock: MockEndpoint, tmp_path: Path, planned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {flag: tmp_path / flag for flag in ("junit", "markdown", "records")}
    flags = [text for flag, path in files.items() for text in (f"--{flag}", str(path))]
    report = tmp_path / "report"
    mock.metrics = "sluice_queue_size 2.0\n"
    flags += ["--report", str(report)]
    assert limit(mock.url, "--config", "x.yaml", "--beside", str(planned), *flags, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)

    assert found["sustained_concurrency"] == EDGE
    assert found["interval_95"] in ([EDGE, EDGE], [EDGE, EDGE + 1])  # rounds of few requests
    assert found["fails_first"]["concurrency"] == EDGE + 1
    assert found["fails_first"]["metric"] == "ttft"
    assert found["binding_limit"] == "kv"
    assert found["search"]["confirmed"]
    assert found["prediction"]["expected"] == 4
    assert found["prediction"]["error_ratio"] == pytest.approx(1 / 3)
    assert found["beside"]["endpoint"]["mode"] == "off"
    assert found["endpoint"]["mode"] == "enforce"
    assert "sustains 3 concurrent users of smoke, 95 % interval 3-" in found["sentence"]
    assert "at 4 p95 TTFT fails first" in found["sentence"]
    assert "KV binds" in found["sentence"]

    assert found["rounds"][0]["concurrency"] == 3  # three quarters of what the plan says
    phases = [each["phase"] for each in found["rounds"]]
    assert phases[0] == "doubling"
    assert "confirming" in phases
    assert phases[-1] == "descending"
    assert all(each["offered"] >= 12 for each in found["rounds"] if each["soak"])

    suite = ElementTree.fromstring(files["junit"].read_text())  # noqa: S314 - our own
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(suite.get("tests", 0)) == 3  # the whole, TTFT, success
    table = files["markdown"].read_text()
    assert table.startswith("**sustains 3 concurrent users")
    assert "| 3 | soak | met |" in table
    run = read_run(files["records"])
    records = run.records
    assert run.limit["sentence"] == found["sentence"]
    assert run.about["endpoint"]["settings"] == {"policy": "footprint"}
    assert {sample.queued for sample in run.samples} == {2.0}
    assert (report / "report.html").exists()
    assert {record.outcome for record in records} == {Outcome.ANSWERED}
    assert {record.stage for record in records} >= {"3", "4"}


def test_who_has_waited_since_there_were_more_users_is_not_judged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state: dict[str, Any] = STATE | {"queue": {"requests": 0}}

    def congested(seen: Seen) -> Script:
        """Too many users leave a queue that takes three slow answers to empty."""
        queue = state["queue"]
        queue["requests"] = 3 if seen.running > EDGE else max(0, queue["requests"] - 1)
        return Script(first_s=0.4 if queue["requests"] else 0.01, gap_s=0.001, tokens=4)

    with serving(congested, state=state) as endpoint:
        assert limit(endpoint.url, "--start", "6", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sustained_concurrency"] == EDGE


def test_one_number_of_users_that_holds_is_exit_code_0(
    mock: MockEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limit(mock.url, "--concurrency", "2") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("SLO met at 2 concurrent users of smoke: ttft_p95 ")
    assert "mode enforce; modelled seconds, 2 in a real one" in told
    assert max(seen.running for seen in mock.seen) == 2


def test_one_that_does_not_is_exit_code_1(
    mock: MockEndpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "junit.xml"
    assert limit(mock.url, "--concurrency", "6", "--junit", str(report)) == 1
    assert "SLO missed at 6" in capsys.readouterr().out
    failures = ElementTree.fromstring(report.read_text()).findall("*/failure")  # noqa: S314
    assert len(failures) == 2  # the whole, and TTFT


def test_a_client_that_cannot_keep_up_is_exit_code_3(
    mock: MockEndpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "CPU_MOST_RATIO", 0.0)
    assert limit(mock.url, "--concurrency", "1") == 3
    assert "invalid at 1 users: the client used" in capsys.readouterr().out


def test_an_endpoint_that_is_down_is_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert limit("http://127.0.0.1:9") == 4
    assert "endpoint down: http://127.0.0.1:9/v1/models" in capsys.readouterr().err


def test_an_endpoint_that_dies_on_the_way_is_exit_code_4(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(Script(cut_after=0), state=STATE) as endpoint:
        endpoint.script = lambda _: Script(status=0)
        assert limit(endpoint.url, "--concurrency", "2") == 4
    assert "without answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--slo", "fast"), "SLO term 'fast' is not understood"),
        (("--concurrency", "0"), "--concurrency 0 is not positive"),
        (("--config", "/nowhere.yaml"), "/nowhere.yaml"),
        (("--beside", "/nowhere.json"), "/nowhere.json"),
    ],
)
def test_bad_arguments_are_exit_code_2(
    options: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limit("http://127.0.0.1:9", *options) == 2
    assert problem in capsys.readouterr().err


def test_the_plan_and_another_run_are_shown_beside_it(
    mock: MockEndpoint, planned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--concurrency", "2", "--config", "x.yaml", "--beside", str(planned))
    assert limit(mock.url, *options) == 0
    told = capsys.readouterr().out
    assert "plan: 4 (3-5), decode binds" in told
    assert "beside it, mode off: sustains 1 ..." in told


def test_the_plan_is_asked_by_its_command_with_the_lengths_of_the_scenario() -> None:
    profile = Path(__file__).resolve().parents[3] / "configs" / "sim-qwen3-32b-8xa10.yaml"
    found = prediction.predict(profile, SMOKE, "tpot_p95<=200ms", seed=1)
    assert found.low <= found.expected <= found.high
    assert found.expected > 10
    assert found.binds in {"kv", "slots", "prefill", "decode"}
    with pytest.raises(ValueError, match="SLO term 'x'"):
        prediction.predict(profile, SMOKE, "x", seed=1)
