"""Which logs of earlier starts are kept, and that nothing of a start that is gone stays behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve.process import old_logs

DAY_S = 86_400.0
NOW_S = 1_800_000_000.0  # January 2027


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def ended(logs: Path, ago_s: float, *, bad: bool) -> Path:
    """The folder of a start that began so long ago."""
    began = old_logs.datetime.fromtimestamp(NOW_S - ago_s)
    folder = logs / began.strftime(f"{old_logs.NAME}-77")
    folder.mkdir()
    told = "RuntimeError: CUDA is gone\n" if bad else "INFO all is well\n"
    (folder / "worker-1.err").write_text(told)
    folder.with_suffix(".access").touch()
    return folder


def test_ten_starts_are_kept_and_older_ones_that_ended_badly_of_late(logs: Path) -> None:
    recent = [ended(logs, ago_s, bad=False) for ago_s in range(10)]
    first_cause = ended(logs, DAY_S, bad=True)
    well, long_ago = ended(logs, 2 * DAY_S, bad=False), ended(logs, 15 * DAY_S, bad=True)
    (logs / "strange").mkdir()
    old_logs.tidy(logs, now_s=NOW_S)
    assert all(folder.exists() for folder in [*recent[:9], first_cause])
    assert not well.exists()
    assert not long_ago.exists()
    assert not well.with_suffix(".access").exists()


def test_beyond_the_bound_the_first_of_many_failures_stays() -> None:
    first, *again = bad = [(Path(f"{n}"), 1000.0 + 60 * n) for n in range(9)]
    other = (Path("other"), 90_000.0)
    kept = old_logs.within(2_500, [*bad, other], size_of=lambda _: 1000)
    assert kept == {first[0], other[0]}
    kept = old_logs.within(3_500, [*bad, other], size_of=lambda _: 1000)
    assert {first[0], other[0]} < kept <= {first[0], other[0], *(folder for folder, _ in again)}


def left(tmp_path: Path, logs: Path, process_id: int) -> tuple[Path, Path]:
    """Scratch folder and link of a start whose launcher has this id."""
    scratch = tmp_path / "sl-x"
    session = scratch / "r" / "session_2026" / "logs"
    session.mkdir(parents=True)
    (session / "kept.log").write_text("words")
    (scratch / "r" / "session_latest").symlink_to(session.parent)
    link = logs / old_logs.name_of(process_id)
    link.symlink_to(scratch / "r" / "session_latest" / "logs")
    return scratch, link


def a_dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_what_a_killed_guard_left_is_put_away_by_the_next_start(tmp_path: Path, logs: Path) -> None:
    scratch, link = left(tmp_path, logs, a_dead_process())
    old_logs.tidy(logs, now_s=NOW_S)
    assert not scratch.exists()
    assert (link / "kept.log").read_text() == "words"
    assert not link.is_symlink()


def test_nothing_of_a_start_that_lives_is_touched(tmp_path: Path, logs: Path) -> None:
    scratch, link = left(tmp_path, logs, os.getpid())
    old_logs.tidy(logs, now_s=NOW_S)
    assert link.is_symlink()
    assert scratch.exists()


def test_nor_is_it_while_anything_that_it_started_lives(tmp_path: Path, logs: Path) -> None:
    scratch, link = left(tmp_path, logs, a_dead_process())
    told = {"RAY_AUTH_TOKEN_PATH": f"{scratch}/ray-token"}
    command = [sys.executable, "-c", "print(flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=told, **pipes) as child:  # type: ignore[call-overload] # noqa: S603
        child.stdout.readline()
        old_logs.tidy(logs, now_s=NOW_S)
        child.stdin.write(b"\n")
    assert link.is_symlink()


def test_the_link_of_a_start_that_has_no_logs_yet_stays(tmp_path: Path, logs: Path) -> None:
    scratch = tmp_path / "sl-x"
    scratch.mkdir()
    link = logs / old_logs.name_of(os.getpid())
    link.symlink_to(scratch / "r" / "session_latest" / "logs")
    old_logs.tidy(logs, now_s=NOW_S)
    assert link.is_symlink()
    scratch.rmdir()
    old_logs.tidy(logs, now_s=NOW_S)
    assert not link.is_symlink()
