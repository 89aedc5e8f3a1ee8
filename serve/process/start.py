"""`sluice serve`: from a profile to a gateway that answers, and its end."""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serve.access.tenants import Keys, load_keys, require_safe_binding
from serve.embedded import model
from serve.exits import Exit
from serve.process import bounded, cluster, serving
from serve.process.cluster import ClusterError, Place, Replicas, State
from serve.process.daemons import NEEDED, Daemons
from serve.process.events import COUNTS, Events
from serve.process.last_words import cause, last_words
from serve.process.looks import Looks
from serve.process.progress import Progress
from serve.process.serving import Run
from serve.process.signals import Interrupted, Signals
from serve.profile.settings import Profile, ProfileError, load_profile

_POLL_S = 0.25  # of Serve's controller, while starting
_HEALTH_S = 0.1  # of /health, when the replicas run
_LOOK_S = 2.0  # and while all is well
_LOOK_ENDS_S = 2.0


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
        place = cluster.take_place()
    except (ProfileError, ClusterError, model.ModelError, ValueError) as error:
        sys.stderr.write(f"sluice: {error}\n")
        return Exit.BAD_INPUT
    except Interrupted:
        return Exit.GOOD
    code = _run(args.config, profile, place, _Surroundings(keys, progress, signals))
    if bounded.any_left():  # a thread hangs in Ray, whose exit handlers would hang, too
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """The keys, signals and output of a start."""

    keys: Keys
    progress: Progress
    signals: Signals


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
    """A file that exists once the installed vLLM has accepted this profile."""
    found = (find_spec("vllm"), find_spec("serve.commands.check"))
    places = [spec.origin for spec in found if spec is not None and spec.origin is not None]
    ages = [str(Path(place).stat().st_mtime_ns) for place in places]
    seen = hashlib.sha256(config.read_bytes() + "\n".join([*places, *ages]).encode())
    return model.cache_folder() / "checked" / seen.hexdigest()[:16]


def _check(config: Path) -> None:
    """In a process of its own: importing vLLM takes seconds and half a GB."""
    command = [sys.executable, "-m", "serve.commands.cli", "check-config", str(config)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if checked.returncode != Exit.GOOD:
        raise ProfileError(checked.stderr.strip())


def _prepare_model(profile: Profile, progress: Progress) -> None:
    name = profile.engine.embedded_model
    if name is not None:
        with progress.step(f"preparing model {name}"):
            model.prepare(name, progress=lambda _: None)


def _run(config: Path, profile: Profile, place: Place, told: _Surroundings) -> int:
    """From the first child process to the last."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        # Ray would print what is in its logs, whole stacks, to our output.
        return _start_and_serve(config, profile, place, told)


def _start_and_serve(config: Path, profile: Profile, place: Place, told: _Surroundings) -> int:
    os.environ[COUNTS] = str(place.fault_counts)
    events = Events(told.progress, place.logs / "sluice.log", place.fault_counts)
    replicas: Replicas | None = None
    daemons = Daemons(place.mark)
    try:
        with told.progress.step("starting Ray"):
            cluster.start(profile, place)
        told.signals.install()
        with Looks(cluster.state, every_s=_POLL_S, patience_s=_LOOK_ENDS_S) as looks:
            with told.progress.step(f"starting engine {profile.engine.kind}"):
                _deploy(config, place)
                _wait(profile, looks, daemons)
            looks.every_s = _LOOK_S
            replicas = Replicas()
            state = serving.states(replicas)[0]
            told.progress.say(welcome(profile, state, place, with_key=told.keys.configured))
            told.signals.note_only()
            run = Run(config, profile, place, replicas, told.signals, told.progress, events)
            return Exit.GOOD if serving.serve(run, looks, daemons) else Exit.NO
    except Interrupted:
        return Exit.GOOD
    except ClusterError as error:
        _explain(_lost(daemons) or error, place)
        return Exit.DOWN
    finally:
        told.signals.ignore()
        with told.progress.step("stopping"):
            cluster.stop(place, replicas)


def _deploy(config: Path, place: Place) -> None:
    from serve import app  # noqa: PLC0415 - imports Ray, which reads its environment then

    cluster.deploy(app.build(app.Arguments(config=config, access_log=_own_output(place))))


def _wait(profile: Profile, looks: Looks[State], daemons: Daemons) -> None:
    """Waits until the gateway answers. Raises ClusterError if it never will."""
    while not _running(looks, daemons):
        time.sleep(_POLL_S)
    while not cluster.answers(profile.http.host, profile.http.port):
        _running(looks, daemons)
        time.sleep(_HEALTH_S)


def _running(looks: Looks[State], daemons: Daemons) -> bool:
    """Whether the replicas run. Raises ClusterError if the start cannot succeed any more."""
    seen = looks.state
    if seen is not None and seen.failed:
        raise ClusterError(f"the engine did not start: {cause(seen.message)}")
    if (lost := _lost(daemons)) is not None:
        raise lost
    return seen is not None and seen.running


def _lost(daemons: Daemons) -> ClusterError | None:
    """The error for a needed process that has ended since the last call, if any."""
    lost = [name for name in daemons.ended() if name in NEEDED.values()]
    return ClusterError(f"{lost[0]} has ended") if lost else None


def _own_output(place: Place) -> str:
    """A path by which a replica writes to our standard output; a log file if that is a socket.

    Both append, so that neither overwrites the other's lines.
    """
    output = sys.__stdout__ or sys.stdout
    path = f"/proc/{os.getpid()}/fd/{output.fileno()}"
    try:
        with Path(path).open("a"):
            pass
    except OSError:
        return str(place.logs.with_suffix(".access"))
    flags = fcntl.fcntl(output, fcntl.F_GETFL)
    fcntl.fcntl(output, fcntl.F_SETFL, flags | os.O_APPEND)
    return path


def welcome(profile: Profile, state: dict[str, Any], place: Place, *, with_key: bool) -> str:
    """The message of a successful start: address, engine, capacity, and a command to try."""
    url = f"http://{cluster.reachable(profile.http.host)}:{profile.http.port}"
    engine = state["engine"]
    body = {"model": state["model"], "messages": [{"role": "user", "content": "Hello!"}]}
    key = " -H 'Authorization: Bearer YOUR-KEY'" if with_key else ""
    several = profile.engine.replicas
    engines, each = (f"{several} engines, ", " in each") if several > 1 else ("", "")
    return f"""
Sluice is ready: {url}
  engine     {engines}{profile.engine.kind}, {state["model"]}
  KV cache   {engine["capacity_tokens"]} tokens, {engine["max_sequences"]} sequences at once{each}
  admission  {state["mode"]}, {state["policy"]}
  logs       {place.logs}
Try it:
  curl {url}/v1/chat/completions{key} -H 'Content-Type: application/json' \\
    -d '{json.dumps(body)}'
Ctrl-C finishes what runs and stops it; a second Ctrl-C cuts.
"""


def _explain(error: ClusterError, place: Place) -> None:
    said = [f"sluice: {error}", *(f"  {line}" for line in last_words(place.logs))]
    sys.stderr.write("\n".join([*said, f"sluice: the logs are in {place.logs}", ""]))
