"""A decision log played again on vLLM's own scheduler, from the command line to the answer."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from admission.terms.settings import Settings
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import play_one
from loadtests.lab.replay.play import TO_THE_END
from serve.commands import cli
from serve.gate.decision_log import DecisionLog
from serve.profile.settings import load_profile
from tests.loadtests.lab.lab_cases import asked, workload_of
from tests.loadtests.lab.log_cases import Kept, write

# torch and vLLM warn while they are imported, which happens inside the tests: it takes seconds
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore")]
PROFILE = Path(__file__).parents[3] / "configs" / "sim-qwen3-32b-8xa10.yaml"
KV_TOKENS = 40_000
REAL = """
engine_args: {model: /nowhere/on/this/machine, quantization: awq_marlin, tensor_parallel_size: 8}
step_time: {fixed_s: 0.05, prefill_token_s: 0.001, decode_sequence_s: 0.0005}
admission: {tpot_target_s: 0.2}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the gateway wrote about sixty requests, too many for its engine."""
    from loadtests.lab.playing.engines import Engines  # noqa: PLC0415 - imports vLLM

    profile = load_profile(PROFILE)
    engines = Engines(profile, KV_TOKENS)
    rng = random.Random(5)
    requests = [
        asked(n, 1.2 * n, prompt=rng.randrange(100, 4000), output=rng.randrange(1, 60))
        for n in range(60)
    ]
    kept = Kept()
    decisions = DecisionLog(kept)
    settings: Settings = profile.admission.settings()
    engine = engines.fresh()
    line = engines.facts(TO_THE_END, settings).line
    door = OurGateway(engines.shape, settings, None, line=line, decisions=decisions)
    play_one(workload_of(*requests), engine, door, TO_THE_END)
    engine.close()
    return write(tmp_path_factory.mktemp("log") / "decisions.jsonl", kept)


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert cli.main(["lab", "replay", *map(str, words), "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_a_replay_decides_as_logged_and_says_what_would_change(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.yaml"
    new.write_text("policy: static\nstatic: {limit: 2}\nttft_deadline_s: 5\n")
    found = told(capsys, log, "--config", PROFILE, "--admission", new)
    assert found["agreement"]["same_end"] == 1.0
    assert found["agreement"]["same_first"] == 1.0
    logged, replayed, changed = found["runs"]
    assert logged | {"name": ""} == replayed | {"name": ""}
    assert changed["refused"] - replayed["refused"] == len(found["changes"]["kept_out"]) - len(
        found["changes"]["let_in"]
    )
    assert found["changes"]["kept_out"]


def test_a_real_engine_s_profile_is_played_without_its_engine(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "real.yaml"
    profile.write_text(REAL)
    found = told(capsys, log, "--config", profile, "--limit-requests", 10)
    assert [run["offered"] for run in found["runs"]] == [10, 10]
    assert not any("engine" in each for each in found["warnings"])
