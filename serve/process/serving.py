"""Watches a running gateway, and drains it at its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.process import cluster
from serve.process.cluster import ClusterError, Place, Replicas, State
from serve.process.daemons import KINDS, NEEDED, REPLACED, Daemons
from serve.process.events import Events, Fault
from serve.process.haproxy.front import Front
from serve.process.looks import Looks
from serve.process.progress import Progress
from serve.process.reload import reload
from serve.process.signals import Signals
from serve.profile.settings import Profile

_POLL_S = 0.25
_ANSWER_TIMEOUT_S = 5.0  # of a replica
_SILENT_S = 10.0  # Serve's controller is asked every 2 s and answers in milliseconds
_MANAGER = REPLACED["ray::HAProxyManager"]
# Ray also replaces the manager of a HAProxy that ended: within this time that is no new fault.
_OF_HAPROXY_S = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """One running gateway, with its signals and its output."""

    config: Path
    profile: Profile
    place: Place
    replicas: Replicas
    signals: Signals
    progress: Progress
    events: Events


def serve(run: Run, looks: Looks[State], daemons: Daemons) -> bool:
    """Returns True after a signal, False if a process ended that Ray does not replace.

    In both cases running requests finish first, within the profile's drain timeout.
    """
    profile, place = run.profile, run.place
    front = Front(
        (cluster.reachable(profile.http.host), profile.http.port),
        place.haproxy,
        log=place.logs / "stand-in.log",
        tell=run.events.tell,
    )
    try:
        lost = _watch(run, looks, daemons, front)
        _drain(run)
    finally:
        front.end()
    return lost is None


def _watch(run: Run, looks: Looks[State], daemons: Daemons, front: Front) -> str | None:
    """Returns None after a signal, else the name of what ended; reports all other events."""
    controller = ServeController(run.events.tell)
    while not run.signals.any:
        time.sleep(_POLL_S)
        for name in daemons.ended():
            if name in NEEDED.values():
                told = "cannot go on without it: finishing what runs, then ending with exit code 1"
                run.events.tell(Fault(KINDS[name], f"{name} has ended, and Ray {told}"))
                return name
            if name != _MANAGER or time.monotonic() - front.replaced_at_s > _OF_HAPROXY_S:
                told = f"{name} has ended; Ray restarts it, requests are still served"
                run.events.tell(Fault(KINDS[name], told))
        controller.look(looks)
        if run.signals.take_reload():
            reload(run.config, run.profile, run.replicas, run.events.tell)
    return None


class ServeController:
    """Reports changes in what Serve's controller says of the replicas."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._was = "serving"

    def look(self, looks: Looks[State]) -> None:
        """Reports each change once."""
        now = _standing(looks)
        if now == self._was:
            return
        if now == "serving" and self._was == "silent":
            self._tell("Ray Serve's controller answers again")
        else:
            self._tell(_TOLD[now])
        self._was = now


_TOLD = {
    "serving": "serving again",
    "silent": Fault(
        "controller_silent", "Ray Serve's controller does not answer; requests are served on"
    ),
    "recovering": "Ray Serve's new controller looks for the replicas; requests are served on",
    "failed": Fault("replica", "a replica failed; replacing it"),
}


def _standing(looks: Looks[State]) -> str:
    if looks.silent_s > _SILENT_S:
        return "silent"
    if looks.state is None or looks.state.running:
        return "serving"
    return "recovering" if looks.state.recovering else "failed"


def _drain(run: Run) -> None:
    """Stops admission and waits for running requests, within the profile's drain timeout."""
    if run.signals.at_once:
        return
    end_s = time.monotonic() + run.profile.http.drain_timeout_s
    with run.progress.step("draining (Ctrl-C cuts what still runs)"):
        try:
            run.replicas.ask("drain", timeout_s=_ANSWER_TIMEOUT_S)
            seen = _until_idle(run, end_s)
        except ClusterError as error:
            run.events.tell(f"the drain ends here: {error}")
            return
    if run.profile.engine.simulated:
        run.progress.say(time_kept(seen[0].get("simulation")))


def _until_idle(run: Run, end_s: float) -> list[dict[str, Any]]:
    """The last states of the replicas: idle, timed out, or cut by a signal."""
    while True:
        seen = states(run.replicas)
        idle = not any(state.get("leases") for state in seen)
        if idle or run.signals.at_once or time.monotonic() > end_s:
            return seen
        time.sleep(_POLL_S)


def states(replicas: Replicas) -> list[dict[str, Any]]:
    """The state of each replica. Raises ClusterError."""
    return replicas.ask("state", timeout_s=_ANSWER_TIMEOUT_S)


def time_kept(report: dict[str, Any] | None) -> str:
    """How well a simulated engine kept its modelled time."""
    if not report:
        return "simulation: no step was run"
    verdict = "" if report["valid"] else "; INVALID: lower simulation.speed"
    return (
        f"simulation: {report['steps']} steps at speed {report['speed']:g},"
        f" {report['late_steps_ratio']:.1%} late, slept / scheduled"
        f" {report['slept_over_scheduled']:.3f}, CPU {report['cpu_share']:.0%} of a core{verdict}"
    )
