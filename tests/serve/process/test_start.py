"""What a start waits for, and what ends it: an engine that fails, a process that Ray needs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve.process import start
from serve.process.cluster import COULD_NOT_START, ClusterError, State
from serve.process.daemons import NEEDED, REPLACED
from serve.profile.settings import load_profile

PROFILE = Path(__file__).resolve().parents[3] / "configs" / "smollm2-cpu.yaml"
STARTING = State(running=False, failed=False, recovering=False, message="")
RUNNING = State(running=True, failed=False, recovering=False, message="")
FAILED = State(running=False, failed=True, recovering=False, message=COULD_NOT_START)
CONTROLLER, RAYLET = REPLACED["ray::ServeController"], NEEDED["raylet/raylet"]


class FakeLooks:
    """Each look finds the next state, and the last one again and again."""

    def __init__(self, *states: State | None) -> None:
        self._states = list(states)

    @property
    def state(self) -> State | None:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]


class FakeDaemons:
    """The daemon that ends before each look, if any; later none does."""

    def __init__(self, *ended: str | None) -> None:
        self._ended = list(ended)

    def ended(self) -> list[str]:
        name = self._ended.pop(0) if self._ended else None
        return [] if name is None else [name]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Waits until nothing of this is left to come: /health is asked as often as is said."""
    monkeypatch.setattr(start, "_POLL_S", 0.0)
    monkeypatch.setattr(start, "_HEALTH_S", 0.0)

    def waits(looks: Any, daemons: Any, *, health: list[bool]) -> None:
        monkeypatch.setattr(start.cluster, "answers", lambda *_: health.pop(0))
        start._wait(load_profile(PROFILE), looks, daemons)
        assert health == []

    return waits


def test_a_start_waits_for_the_replicas_and_then_for_haproxy(wait: Callable[..., None]) -> None:
    wait(FakeLooks(None, STARTING, RUNNING), FakeDaemons(), health=[False, False, True])


def test_a_daemon_that_ray_replaces_ends_no_start(wait: Callable[..., None]) -> None:
    wait(FakeLooks(RUNNING), FakeDaemons(CONTROLLER, CONTROLLER), health=[False, True])


@pytest.mark.parametrize("state", [None, STARTING])
def test_a_raylet_that_ends_before_the_replicas_run_ends_the_start(
    wait: Callable[..., None], state: State | None
) -> None:
    with pytest.raises(ClusterError, match=f"^{RAYLET} has ended$"):
        wait(FakeLooks(state), FakeDaemons(None, RAYLET), health=[])


def test_a_raylet_that_ends_before_haproxy_answers_ends_the_start(
    wait: Callable[..., None],
) -> None:
    with pytest.raises(ClusterError, match=f"^{RAYLET} has ended$"):
        wait(FakeLooks(RUNNING), FakeDaemons(None, None, RAYLET), health=[False, False])


@pytest.mark.parametrize("before", [STARTING, RUNNING])
def test_an_engine_that_does_not_start_ends_the_start(
    wait: Callable[..., None], before: State
) -> None:
    with pytest.raises(ClusterError, match="the engine did not start"):
        wait(FakeLooks(before, FAILED), FakeDaemons(), health=[False])
