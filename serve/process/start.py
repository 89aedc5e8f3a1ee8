"""`sluice serve`: everything from a profile to a gateway that answers, and back to nothing."""

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serve.embedded import model
from serve.http.tenants import Keys, load_keys, require_safe_binding
from serve.process import cluster
from serve.process.cluster import ClusterError, Place
from serve.process.last_words import cause, last_words
from serve.process.progress import Progress
from serve.process.signals import Interrupted, Signals
from serve.profile.settings import Profile, ProfileError, load_profile

GOOD, BAD, DOWN = 0, 2, 4  # exit codes (CONTRACTS)
_POLL_S = 0.5  # each asks Serve's controller
_LOOK_S = 2.0  # how often Serve is asked about the replicas while all is well
_ANSWER_TIMEOUT_S = 5.0


def main(args: argparse.Namespace) -> int:
    """Starts, serves until a signal comes, stops; returns the exit code."""
    progress, signals = Progress(), Signals()
    signals.install()
    try:
        profile = _profile(args, progress)
        keys = load_keys(profile.access)
        require_safe_binding(profile.http.host, keys)
        cluster.require_free_port(profile.http.host, profile.http.port)
        cluster.require_open_files(profile)
        _prepare_model(profile, progress)
    except (ProfileError, ClusterError, model.ModelError, ValueError) as error:
        sys.stderr.write(f"sluice: {error}\n")
        return BAD
    except Interrupted:
        return GOOD
    return _run(args.config, profile, keys, progress=progress, signals=signals)


def _profile(args: argparse.Namespace, progress: Progress) -> Profile:
    """The profile with the command line's host and port; its vLLM arguments checked by vLLM."""
    profile = load_profile(args.config)
    passed = checked_mark(args.config)
    if not passed.exists():
        with progress.step(f"checking {args.config.name}"):
            _check(args.config)
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.touch()
    given = {"host": args.host, "port": args.port}
    http = profile.http.model_copy(update={k: v for k, v in given.items() if v is not None})
    return profile.model_copy(update={"http": http})


def checked_mark(config: Path) -> Path:
    """A file that exists once vLLM, in the release that is installed, has passed this profile."""
    found = (find_spec("vllm"), find_spec("serve.check"))
    places = [spec.origin for spec in found if spec is not None and spec.origin is not None]
    ages = [str(Path(place).stat().st_mtime_ns) for place in places]
    seen = hashlib.sha256(config.read_bytes() + "\n".join([*places, *ages]).encode())
    return model.cache_folder() / "checked" / seen.hexdigest()[:16]


def _check(config: Path) -> None:
    """In a process of its own: vLLM takes seconds and half a GB to import, and only to ask it."""
    command = [sys.executable, "-m", "serve.cli", "check-config", str(config)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if checked.returncode != GOOD:
        raise ProfileError(checked.stderr.strip())


def _prepare_model(profile: Profile, progress: Progress) -> None:
    name = profile.engine.embedded_model
    if name is not None:
        with progress.step(f"preparing model {name}"):
            model.prepare(name, progress=lambda _: None)


def _run(
    config: Path, profile: Profile, keys: Keys, *, progress: Progress, signals: Signals
) -> int:
    place = cluster.take_place()
    try:
        _start(config, profile, place, progress, signals)
        progress.say(welcome(profile, _states()[0], place, with_key=keys.configured))
        signals.note_only()
        _serve(profile, progress, signals)
    except Interrupted:
        return GOOD
    except ClusterError as error:
        _explain(error, place)
        return DOWN
    finally:
        signals.ignore()
        with progress.step("stopping"):
            cluster.stop(place)
    return GOOD


def _start(
    config: Path, profile: Profile, place: Place, progress: Progress, signals: Signals
) -> None:
    with progress.step("starting Ray"):
        cluster.start(profile, place)
    signals.install()
    with progress.step(f"starting engine {profile.engine.kind}"):
        from serve import app  # noqa: PLC0415 - imports Ray, which reads its environment then

        arguments = app.Arguments(config=config, access_log=_own_output(place))
        cluster.deploy(app.build(arguments))
        while not (seen := cluster.state()).running:
            if seen.failed:
                raise ClusterError(f"the engine did not start: {cause(seen.message)}")
            time.sleep(_POLL_S)
        while not cluster.answers(profile.http.host, profile.http.port):
            time.sleep(_POLL_S)


def _own_output(place: Place) -> str:
    """A path by which a replica writes to our standard output; a file where it is a socket.

    Both append, so that neither overwrites the other's lines.
    """
    path = f"/proc/{os.getpid()}/fd/{sys.stdout.fileno()}"
    try:
        with Path(path).open("a"):
            pass
    except OSError:
        return str(place.logs.with_suffix(".access"))
    flags = fcntl.fcntl(sys.stdout, fcntl.F_GETFL)
    fcntl.fcntl(sys.stdout, fcntl.F_SETFL, flags | os.O_APPEND)
    return path


def _states() -> list[dict[str, Any]]:
    return cluster.ask("state", timeout_s=_ANSWER_TIMEOUT_S)


def welcome(profile: Profile, state: dict[str, Any], place: Place, *, with_key: bool) -> str:
    """What a new user needs: where it is, what runs, what fits, and a line to try."""
    url = f"http://{cluster.reachable(profile.http.host)}:{profile.http.port}"
    engine = state["engine"]
    body = {"model": state["model"], "messages": [{"role": "user", "content": "Hello!"}]}
    key = " -H 'Authorization: Bearer YOUR-KEY'" if with_key else ""
    return f"""
Sluice is ready: {url}
  engine     {profile.engine.kind}, {state["model"]}
  KV cache   {engine["capacity_tokens"]} tokens, {engine["max_sequences"]} sequences at once
  admission  {state["mode"]}, {state["policy"]}
  logs       {place.logs}
Try it:
  curl {url}/v1/chat/completions{key} -H 'Content-Type: application/json' \\
    -d '{json.dumps(body)}'
Ctrl-C stops it.
"""


def _serve(profile: Profile, progress: Progress, signals: Signals) -> None:
    """Until a signal comes; tells when a replica is lost and when it is back."""
    running, looked_at_s = True, time.monotonic()
    while not signals.any:
        time.sleep(_POLL_S)
        if time.monotonic() - looked_at_s < _LOOK_S:
            continue
        now = cluster.state()
        if now.running != running:
            progress.say("serving again" if now.running else "a replica failed; replacing it")
        running, looked_at_s = now.running, time.monotonic()
    if not signals.at_once:
        with progress.step("draining (Ctrl-C cuts what still runs)"):
            _drain(profile, signals)
        if profile.engine.simulated:
            progress.say(time_kept(_states()[0].get("simulation")))


def time_kept(report: dict[str, Any] | None) -> str:
    """What a run on a simulated engine was worth."""
    if not report:
        return "simulation: no step was run"
    verdict = "" if report["valid"] else "; INVALID: lower simulation.speed"
    return (
        f"simulation: {report['steps']} steps at speed {report['speed']:g},"
        f" {report['late_steps_ratio']:.1%} late, slept / scheduled"
        f" {report['slept_over_scheduled']:.3f}, CPU {report['cpu_share']:.0%} of a core{verdict}"
    )


def _drain(profile: Profile, signals: Signals) -> None:
    """Admits nothing more and waits for what runs, as long as the profile says."""
    end_s = time.monotonic() + profile.http.drain_timeout_s
    cluster.ask("drain", timeout_s=_ANSWER_TIMEOUT_S)
    while any(state.get("leases") for state in _states()):
        if signals.at_once or time.monotonic() > end_s:
            return
        time.sleep(_POLL_S)


def _explain(error: ClusterError, place: Place) -> None:
    said = [f"sluice: {error}", *(f"  {line}" for line in last_words(place.logs))]
    sys.stderr.write("\n".join([*said, f"sluice: the logs are in {place.logs}", ""]))
