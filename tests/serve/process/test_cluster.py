"""What a start computes before anything is started, and how it says that it cannot."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from serve.process import cluster, orphans, ray_environment
from serve.process.last_words import cause, last_words
from serve.process.ports import Ports, claim_ports
from serve.process.serving import time_kept
from serve.process.start import welcome
from serve.profile.settings import Profile, load_profile, parse_admission

ROOT = Path(__file__).resolve().parents[3]
PROFILE = ROOT / "configs" / "smollm2-cpu.yaml"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it


@pytest.fixture
def profile() -> Profile:
    return load_profile(PROFILE)


@pytest.fixture
def environment(profile: Profile, tmp_path: Path) -> dict[str, str]:
    ports = Ports(1, 2, 3, 4, 5, 6, 7, 99)
    return ray_environment.of_one_machine(profile, folder=tmp_path, ports=ports)


def test_serves_own_limits_sit_above_ours(profile: Profile, environment: dict[str, str]) -> None:
    queue_and_slots = profile.admission.queue.max_requests + profile.engine_args["max_num_seqs"]
    assert ray_environment.ongoing_requests(profile) > queue_and_slots
    let_in = int(environment["RAY_SERVE_HAPROXY_MAXCONN"])
    assert let_in > 2 * profile.engine.replicas * queue_and_slots
    assert ray_environment.open_files(profile) > 2 * let_in


def test_every_port_and_file_of_a_start_is_its_own(
    environment: dict[str, str], tmp_path: Path
) -> None:
    files = [name for name, value in environment.items() if value.startswith("/")]
    assert all(Path(environment[name]).is_relative_to(tmp_path) for name in files)
    assert len(files) == 8
    assert environment["RAY_SERVE_HAPROXY_STATS_PORT"] == "2"
    assert environment["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] == "99"


def test_a_start_whose_parent_is_process_1_outlives_its_raylet(
    environment: dict[str, str],
) -> None:
    """Ray ends a process at once when this process has ended, or, unset, when its parent is 1."""
    assert environment["RAY_RAYLET_PID"] == str(os.getpid())
    ray = find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    assert b"RAYLET_PID" in (Path(ray.origin).parent / "_raylet.so").read_bytes()


def test_the_shell_file_for_other_clusters_sets_the_same() -> None:
    exported = dict(
        re.findall(r"^export (\w+)=(\S+)", (ROOT / "deploy" / "env.sh").read_text(), re.MULTILINE)
    )
    assert dict(ray_environment.FIXED).items() <= exported.items()
    others = {"RAY_SERVE_HAPROXY_BINARY_PATH", "RAY_SERVE_HAPROXY_MAXCONN", "RAY_AUTH_MODE"}
    assert exported.keys() - ray_environment.FIXED.keys() == others


def test_serve_tells_of_a_replica_that_could_not_start_while_it_tries_again() -> None:
    ray = find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    private = Path(ray.origin).parent / "serve" / "_private"
    state = (private / "deployment_state.py").read_text()
    (budget,) = re.findall(
        r"def _failed_to_start_threshold.*?return min\((.*?)\n        \)", state, re.DOTALL
    )
    assert "deployment_config.max_constructor_retry_count" in budget
    assert "target_num_replicas * MAX_PER_REPLICA_RETRY_COUNT" in budget
    assert f'f"{cluster.COULD_NOT_START} ' in state
    assert '"RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT"' in (private / "constants.py").read_text()


def test_the_serve_yaml_carries_the_profiles_admission_section(profile: Profile) -> None:
    document = yaml.safe_load((ROOT / "deploy" / "serve-config.yaml").read_text())
    (application,) = document["applications"]
    (deployment,) = application["deployments"]
    assert parse_admission(deployment["user_config"]) == profile.admission
    assert ROOT / application["args"]["config"] == PROFILE


def test_a_port_in_use_is_one_clear_message() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(cluster.ClusterError, match=rf"127.0.0.1 port {port}: Address already"):
            cluster.require_free_port("127.0.0.1", port)
    cluster.require_free_port("127.0.0.1", port)


def test_a_queue_longer_than_the_limit_of_open_files_is_refused(profile: Profile) -> None:
    queue = profile.admission.queue.model_copy(update={"max_requests": 10**9})
    admission = profile.admission.model_copy(update={"queue": queue})
    with pytest.raises(cluster.ClusterError, match="open files"):
        cluster.require_open_files(profile.model_copy(update={"admission": admission}))


def test_a_marked_process_is_found_and_ended_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleep) as other:  # noqa: S603 - our own
        mark = orphans.mark("SLUICE_TEST_MARK")
        with subprocess.Popen(sleep, env=os.environ) as ours:  # noqa: S603 - our own
            _wait_until(lambda: orphans.marked(mark) == [ours.pid])
            reaper = threading.Thread(target=ours.wait)  # a zombie has no environment left
            reaper.start()
            assert orphans.end(mark, grace_s=5) == [ours.pid]
            reaper.join()
            assert ours.returncode == -15
        assert other.poll() is None
        other.kill()


def test_a_guard_ends_what_a_killed_parent_leaves(tmp_path: Path) -> None:
    memory = (
        "from multiprocessing import resource_tracker, shared_memory as m; import time\n"
        "resource_tracker.register = lambda *_: None\n"
        "s = m.SharedMemory(create=True, size=4096); print(s.name, flush=True); time.sleep(60)"
    )
    script = (
        "import subprocess, sys; from pathlib import Path; from serve.process import orphans\n"
        "mark = orphans.mark('SLUICE_TEST_GUARD')\n"
        "orphans.guard(mark, scratch=Path(sys.argv[1], 's'), logs=Path(sys.argv[1], 'l'))\n"
        "child = [sys.executable, '-c', sys.argv[2]]\n"
        "subprocess.Popen(child, start_new_session=True)\n"
        "print(mark, flush=True); sys.stdin.read()\n"
    )
    logs = tmp_path / "s" / "r" / "session_2026" / "logs"
    logs.mkdir(parents=True)
    (logs / "kept.log").write_text("words")
    (tmp_path / "l").symlink_to(logs)
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", script, str(tmp_path), memory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as parent:
        assert parent.stdout is not None
        said = [parent.stdout.readline().strip() for _ in range(2)]  # parent and child
        segment, mark = sorted(said, key=lambda line: "=" in line)
        assert len(orphans.marked(mark)) == 1
        assert (SHARED_MEMORY / segment).exists()
        parent.kill()
    _wait_until(lambda: not orphans.marked(mark) and not (tmp_path / "s").exists())
    assert (tmp_path / "l" / "kept.log").read_text() == "words"
    assert not (SHARED_MEMORY / segment).exists()


def test_the_last_words_are_the_errors_without_their_frames(tmp_path: Path) -> None:
    (tmp_path / "worker-1.err").write_text(
        "INFO all is well\n"
        "(EngineCore pid=7) ERROR 11-22 [core.py:900] Traceback (most recent call last):\n"
        '(EngineCore pid=7) ERROR 11-22 [core.py:900]   File "x.py", line 1, in f\n'
        "(EngineCore pid=7) ERROR 11-22 [core.py:900] ValueError: no room for KV\n"
        "(EngineCore pid=7) ERROR 11-22 [core.py:900] ValueError: no room for KV\n"
    )
    (tmp_path / "serve").mkdir()
    (tmp_path / "serve" / "replica_x.log").write_text(
        "INFO 2026-11-22 11:37:44,123 default_Gateway x1y2 -- ValueError: no room for KV\n"
        "INFO 2026-11-22 11:37:44,123 default_Gateway x1y2 r-7 -- ValueError: no room for KV\n"
    )
    assert last_words(tmp_path) == ["ValueError: no room for KV"]


def test_the_cause_is_the_last_exception_of_a_traceback() -> None:
    text = "Error:\nTraceback ...\n  raise X\nvllm.EngineStartError: no\nRuntimeError: see above\n"
    assert cause(text) == "RuntimeError: see above"
    assert cause("The node timed out.") == "The node timed out."
    assert cause("") == "no message"


def test_the_welcome_has_all_that_a_new_user_needs(profile: Profile, tmp_path: Path) -> None:
    state = {
        "model": "m",
        "mode": "enforce",
        "policy": "footprint",
        "engine": {"capacity_tokens": 46_464, "max_sequences": 64},
    }
    ports, claim = claim_ports()
    claim.close()
    place = cluster.Place("A=b", tmp_path, tmp_path, ports, claim)
    text = welcome(profile, state, place, with_key=True)
    assert "http://127.0.0.1:8000/v1/chat/completions" in text
    assert "46464 tokens" in text
    assert "Authorization: Bearer" in text


def test_help_comes_at_once() -> None:
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-m", "serve.commands.cli", "--help"], cwd=ROOT, check=True)
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import serve.commands.cli"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    assert not re.search(r"\b(ray|vllm|pydantic|yaml)\b", imported)
    assert time.monotonic() - began_s < 30  # not a benchmark: the import list above is the promise


def _wait_until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_a_simulated_run_ends_with_how_well_it_kept_its_time() -> None:
    report = {
        "speed": 4.0,
        "steps": 1234,
        "late_steps_ratio": 0.071,
        "slept_over_scheduled": 1.0123,
        "cpu_share": 0.31,
        "valid": False,
    }
    assert time_kept(report) == (
        "simulation: 1234 steps at speed 4, 7.1% late, slept / scheduled 1.012,"
        " CPU 31% of a core; INVALID: lower simulation.speed"
    )
    assert "INVALID" not in time_kept({**report, "valid": True})
    assert time_kept(None) == "simulation: no step was run"
