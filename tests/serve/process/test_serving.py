"""What `sluice serve` does while it serves: signals, faults, and parts that never answer."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from serve.process import bounded, orphans, serving
from serve.process.cluster import ClusterError, State
from serve.process.daemons import NEEDED, REPLACED, Daemons
from serve.process.events import Events
from serve.process.looks import Looks
from serve.process.progress import Progress
from serve.process.reload import reload
from serve.process.serving import ServeController
from serve.process.signals import Interrupted, Signals
from serve.profile.settings import Profile, load_profile

ROOT = Path(__file__).resolve().parents[3]
PROFILE = ROOT / "configs" / "smollm2-cpu.yaml"
RUNNING = State(running=True, failed=False, recovering=False, message="")


@dataclass
class Output:
    """A terminal that may be closed."""

    text: str = ""
    closed: bool = False

    def write(self, text: str) -> None:
        if self.closed:
            raise OSError("no such terminal")
        self.text += text

    def flush(self) -> None:
        """Nothing is buffered."""

    def isatty(self) -> bool:
        return False


@dataclass
class FakeReplicas:
    """Answers each method with the next of its answers, the last one again and again."""

    answers: dict[str, list[Any]]
    asked: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)

    def ask(self, method: str, *arguments: object, timeout_s: float) -> list[Any]:
        self.asked.append((method, arguments))
        answers = self.answers[method]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [answer]


@pytest.fixture
def profile() -> Profile:
    return load_profile(PROFILE)


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture
def run(
    profile: Profile, output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """A `Run` with these answers of its replicas, after these signals."""
    monkeypatch.setattr(serving, "_POLL_S", 0.0)

    def make(answers: dict[str, list[Any]], *numbers: signal.Signals) -> Any:
        progress = Progress(output)  # type: ignore[arg-type] # as much of a file as it needs
        events = Events(progress, tmp_path / "sluice.log")
        replicas: Any = FakeReplicas(answers)
        place: Any = None
        return serving.Run(PROFILE, profile, place, replicas, _signals(*numbers), progress, events)

    return make


def _signals(*numbers: signal.Signals) -> Signals:
    signals = Signals()
    signals._raise = False
    for number in numbers:
        signals._handle(number, None)
    return signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_for_a_drain_and_the_second_for_an_end_at_once(
    number: signal.Signals,
) -> None:
    first = _signals(number)
    assert first.any
    assert not first.at_once
    assert _signals(number, signal.SIGTERM).at_once
    assert _signals(number, signal.SIGINT).at_once
    assert not _signals().any
    assert not _signals().at_once


def test_sighup_asks_for_settings_to_be_read_again_and_never_for_an_end() -> None:
    signals = _signals(signal.SIGHUP, signal.SIGHUP)
    assert not signals.any
    assert signals.take_reload()
    assert not signals.take_reload()


def test_a_signal_before_anything_is_served_interrupts() -> None:
    with pytest.raises(Interrupted):
        Signals()._handle(signal.SIGTERM, None)


@pytest.fixture
def dispositions() -> Iterator[None]:
    """As they were, afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("dispositions")
def test_nohup_stays_and_rays_processes_never_hear_of_a_closed_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signals = Signals()
    signals.install()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, "children inherit what is ignored"
    signals.note_only()
    assert signal.getsignal(signal.SIGHUP) == signals._handle

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    started_by_nohup = Signals()
    started_by_nohup.install()
    started_by_nohup.note_only()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_call_that_never_returns_is_left_to_itself() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        bounded.call(never.wait, within_s=0.01)
    assert bounded.any_left()
    never.set()
    _wait_until(lambda: not bounded.any_left())


def test_a_call_in_time_returns_or_raises_as_ever() -> None:
    assert bounded.call(lambda: 7, within_s=10.0) == 7
    with pytest.raises(KeyError):
        bounded.call(lambda: {}["x"], within_s=10.0)


def test_a_drain_waits_until_nothing_is_held(run: Callable[..., Any]) -> None:
    states = [{"leases": 2}, {"leases": 1}, {"leases": 0}]
    draining = run({"drain": [None], "state": states}, signal.SIGTERM)
    serving._drain(draining)
    assert [method for method, _ in draining.replicas.asked] == ["drain", *["state"] * 3]


def test_a_second_signal_cuts_what_would_run_for_ever(run: Callable[..., Any]) -> None:
    cut = run({"drain": [None], "state": [{"leases": 9}]}, signal.SIGINT, signal.SIGINT)
    serving._drain(cut)
    assert cut.replicas.asked == []


def test_a_drain_ends_when_no_replica_answers_any_more(
    run: Callable[..., Any], output: Output
) -> None:
    gone = ClusterError("no replica answers: ActorDiedError")
    draining = run({"drain": [None], "state": [{"leases": 9}, gone]}, signal.SIGTERM)
    serving._drain(draining)
    assert "the drain ends here: no replica answers: ActorDiedError" in output.text


def test_the_controllers_faults_are_told_once_and_by_their_names() -> None:
    told: list[str] = []
    controller = ServeController(told.append)
    looks: Any = type("FakeLooks", (), {"state": RUNNING, "silent_s": 0.0})()
    controller.look(looks)
    assert told == []
    looks.silent_s = 11.0
    controller.look(looks)
    controller.look(looks)
    looks.silent_s = 0.0
    controller.look(looks)
    looks.state = State(running=False, failed=False, recovering=True, message="")
    controller.look(looks)
    looks.state = State(running=False, failed=False, recovering=False, message="")
    controller.look(looks)
    looks.state = RUNNING
    controller.look(looks)
    assert told == [
        "Ray Serve's controller does not answer; requests are served on",
        "Ray Serve's controller answers again",
        "Ray Serve's new controller looks for the replicas; requests are served on",
        "a replica failed; replacing it",
        "serving again",
    ]


def test_whoever_reads_what_the_controller_says_does_not_hang_with_it() -> None:
    hangs, released = threading.Event(), threading.Event()

    def ask() -> State:
        if hangs.is_set():
            released.wait()
        return RUNNING

    with Looks(ask, every_s=0.001, patience_s=0.01) as looks:
        _wait_until(lambda: looks.state is not None)
        hangs.set()
        _wait_until(lambda: looks.silent_s > 0.1)
        assert looks.state is RUNNING
    assert bounded.any_left(), "the thread hangs, and the end knows it"
    released.set()
    _wait_until(lambda: not bounded.any_left())


def test_a_daemon_of_ray_that_ends_is_named_once_though_nobody_reaps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(orphans.os, "environ", orphans.os.environ.copy())
    mark = orphans.mark("SLUICE_TEST_DAEMONS")
    titles = ["/x/raylet/raylet", "ray::ServeController.listen_for_change", "/x/gcs/gcs_server"]
    started = [
        subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-c", "input()", title],
            stdin=subprocess.PIPE,
            env=orphans.os.environ,
        )
        for title in titles
    ]
    try:
        daemons = Daemons(mark)
        _wait_until(lambda: len(orphans.marked(mark)) == 3)
        assert daemons.ended() == []
        started[0].kill()  # and it stays a zombie
        _wait_until(lambda: daemons.ended() == [NEEDED["raylet/raylet"]])
        assert daemons.ended() == []
        started[1].kill()
        _wait_until(lambda: daemons.ended() == [REPLACED["ray::ServeController"]])
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_a_child_that_still_has_its_parent_s_command_line_is_not_watched_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(orphans.os, "environ", orphans.os.environ.copy())
    mark = orphans.mark("SLUICE_TEST_DAEMONS")
    lines = "import os, time; time.sleep(0.1); os.fork(); print(flush=True); time.sleep(600)"
    raylet = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", lines, "/x/raylet/raylet"],
        stdout=subprocess.PIPE,
        env=orphans.os.environ,
    )
    try:
        _wait_until(lambda: len(orphans.marked(mark)) == 2)
        # the order of process ids is chance once they have wrapped around
        backwards = sorted(orphans.marked(mark), reverse=True)
        monkeypatch.setattr(orphans, "marked", lambda _mark: backwards)
        daemons = Daemons(mark)
        assert daemons.ended() == [NEEDED["gcs/gcs_server"]], "it had ended before the first look"
        assert daemons.ended() == []
        raylet.kill()
        _wait_until(lambda: daemons.ended() == [NEEDED["raylet/raylet"]])
    finally:
        raylet.kill()
        monkeypatch.undo()
        orphans.end(mark, grace_s=0.0)
        raylet.communicate()


def test_an_event_is_one_line_in_the_output_and_one_with_its_time_in_a_file(
    output: Output, tmp_path: Path
) -> None:
    events = Events(Progress(output), tmp_path / "sluice.log")  # type: ignore[arg-type]
    events.tell("HAProxy has\n  ended")
    assert output.text == "HAProxy has ended\n"
    at, _, text = (tmp_path / "sluice.log").read_text().partition(" ")
    assert text == "HAProxy has ended\n"
    assert at.startswith("20")
    assert [event.text for event in events.last] == ["HAProxy has ended"]


def test_a_closed_terminal_and_a_folder_that_is_gone_do_not_end_the_watch(
    output: Output, tmp_path: Path
) -> None:
    output.closed = True
    events = Events(Progress(output), tmp_path / "gone" / "sluice.log")  # type: ignore[arg-type]
    for number in range(1000):
        events.tell(str(number))
    assert len(events.last) == 100
    assert events.last[-1].text == "999"


OUTCOME = {"replica": "ab12", "hash": "0123456789ab", "refused": None, "keys": 3}


def reloaded(file: Path, started_with: Profile, answer: Any) -> tuple[list[str], FakeReplicas]:
    """What is told, and what is sent."""
    told: list[str] = []
    replicas = FakeReplicas({"reload": [answer]})
    reload(file, started_with, replicas, told.append)  # type: ignore[arg-type] # asks and no more
    return told, replicas


def test_sighup_sends_the_admission_section_and_tells_what_came_of_it(profile: Profile) -> None:
    told, replicas = reloaded(PROFILE, profile, OUTCOME)
    assert told == [f"{PROFILE} read again: replica ab12, settings 0123456789ab in force, 3 keys"]
    assert replicas.asked == [("reload", (profile.admission.mapping(),))]


def test_what_a_replica_refuses_is_told(profile: Profile) -> None:
    told, _ = reloaded(PROFILE, profile, {**OUTCOME, "refused": "no key found", "keys": None})
    assert told[0].endswith("settings 0123456789ab in force; refused: no key found")


def test_a_bad_profile_is_one_line_and_nothing_is_sent(profile: Profile, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    for text in ("admission: {policy: nonsense, mode: 3}\nengine: {kind: x}", "a: [", "\0"):
        bad.write_text(text)
        told, replicas = reloaded(bad, profile, OUTCOME)
        assert len(told) == 1
        assert told[0].startswith("not read again, the settings in force stay: ")
        assert replicas.asked == []
    bad.unlink()
    assert reloaded(bad, profile, OUTCOME)[1].asked == []


def test_a_replica_that_does_not_answer_a_sighup_is_told(profile: Profile) -> None:
    told, _ = reloaded(PROFILE, profile, ClusterError("no replica answers: TimeoutError"))
    assert told == [f"{PROFILE} was read again, and not applied: no replica answers: TimeoutError"]


def test_what_takes_a_new_start_is_told(profile: Profile, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    text = PROFILE.read_text()
    changed.write_text(text.replace("max_num_seqs: 64", "max_num_seqs: 65"))
    assert changed.read_text() != text
    told, _ = reloaded(changed, profile, OUTCOME)
    assert (
        told[1] == "sections beside admission have changed too; they apply from the next start on"
    )


def _wait_until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)
