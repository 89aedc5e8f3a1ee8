"""The log of JSON lines: in order, never in a request's way, and no loss in silence."""

import json
import logging
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serve.observability.json_lines import JsonLines

FULL = "/dev/full"  # every write to it fails as on a full disk


def test_lines_are_written_in_order_and_appended(tmp_path: Path) -> None:
    file = tmp_path / "access.jsonl"
    for first in (0, 100):
        lines = JsonLines(str(file))
        for number in range(first, first + 100):
            lines.write({"n": number, "text": 'a "quoted"\nline'})
        lines.close()
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["n"] for line in written] == list(range(200))


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines("-")
    lines.write({"n": 1})
    lines.close()
    assert capsys.readouterr().out == '{"n": 1}\n'


def test_a_log_that_cannot_keep_up_drops_lines_and_never_blocks(tmp_path: Path) -> None:
    blocked = threading.Event()

    class Slow:
        """A value whose text is not there yet: holds the writing thread."""

        def __str__(self) -> str:
            blocked.wait()
            return "slow"

    lines = JsonLines(str(tmp_path / "log"), queue_lines=2)
    for _ in range(10):
        lines.write({"slow": Slow()})
    assert lines.dropped >= 7
    blocked.set()
    lines.close()


def test_a_log_that_cannot_be_opened_says_so_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        JsonLines(str(tmp_path / "none" / "log"))


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def test_lines_that_a_full_disk_takes_are_counted_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[int] = []
    lines = JsonLines(FULL, on_lost=told.append)
    for number in range(10):
        lines.write({"n": number})
    lines.close()
    assert lines.dropped == sum(told) == 10
    (only,) = caplog.messages
    assert FULL in only
    assert "No space left" in only


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """A write beyond is cut short and the next one fails, as where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_half_a_line_does_not_spoil_the_next_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "log"
    lost = threading.Semaphore(0)
    lines = JsonLines(str(file), on_lost=lambda _: lost.release(), calm_s=0.0)
    with files_end_at(50):
        lines.write({"text": "x" * 100})
        lost.acquire()
        assert file.stat().st_size == 50
    lines.write({"n": 1})
    lines.write({"n": 2})
    lines.close()
    assert lines.dropped == 1
    broken, *whole = file.read_text().splitlines()
    assert len(broken) == 50
    assert [json.loads(line)["n"] for line in whole] == [1, 2]
    assert ["being lost" in line for line in caplog.messages] == [True, False]
    assert "written again; 1 were lost" in caplog.messages[1]


def test_a_line_that_is_no_json_is_lost_alone(tmp_path: Path) -> None:
    file = tmp_path / "log"
    lines = JsonLines(str(file))
    circle: dict[str, object] = {}
    circle["again"] = circle
    for line in ({"n": 0}, circle, {"n": 1}):
        lines.write(line)
    lines.close()
    assert numbers(file) == [0, 1]
    assert lines.dropped == 1


def test_reopened_it_writes_to_the_new_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    lines = JsonLines(str(file))
    lines.write({"n": 0})
    while not file.read_text():
        pass
    file.rename(tmp_path / "log.1")
    lines.reopen()
    lines.write({"n": 1})
    lines.close()
    assert numbers(tmp_path / "log.1") == [0]
    assert numbers(file) == [1]


def test_what_cannot_be_reopened_is_written_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    lines = JsonLines(str(folder / "log"))
    folder.rename(tmp_path / "moved")
    lines.reopen()
    lines.write({"n": 1})
    lines.close()
    assert numbers(tmp_path / "moved" / "log") == [1]
    assert "could not be opened anew" in caplog.text


def test_closing_twice_does_nothing(tmp_path: Path) -> None:
    lines = JsonLines(str(tmp_path / "log"))
    lines.close()
    lines.close()
