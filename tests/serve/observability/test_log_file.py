"""Log files stay within their bounds, whoever writes to them."""

import os
from pathlib import Path

import pytest

from serve.observability.log_file import LogFile

LINE = b"x" * 9 + b"\n"


def written(folder: Path) -> dict[str, int]:
    """Bytes by name."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def test_a_full_file_is_put_behind_the_older_ones(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=30, kept=2)
    for number in range(10):
        assert file.append([b"%09d\n" % number]) == (1, None)
    assert written(tmp_path) == {"log": 10, "log.1": 30, "log.2": 30}
    assert (tmp_path / "log.1").read_text().split() == [f"{n:09d}" for n in (6, 7, 8)]
    assert (tmp_path / "log.2").read_text().split() == [f"{n:09d}" for n in (3, 4, 5)]


def test_none_kept_begins_anew(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=30, kept=0)
    for _ in range(5):
        file.append([LINE])
    assert written(tmp_path) == {"log": 20}


def test_what_is_larger_than_the_bound_is_one_file(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=5, kept=3)
    file.append([LINE])
    file.append([LINE])
    assert written(tmp_path) == {"log": 10, "log.1": 10}


def test_a_file_that_is_already_full_is_rotated_first(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(LINE * 4)
    LogFile(tmp_path / "log", max_bytes=30, kept=1).append([LINE])
    assert written(tmp_path) == {"log": 10, "log.1": 40}


def test_two_writers_rotate_one_file_once(tmp_path: Path) -> None:
    files = [LogFile(tmp_path / "log", max_bytes=30, kept=9) for _ in range(2)]
    for number in range(12):
        files[number % 2].append([LINE])
    assert written(tmp_path) == {"log": 30, "log.1": 30, "log.2": 30, "log.3": 30}


@pytest.mark.parametrize("place", ["/proc/self/fd", "/dev/fd"])
def test_an_open_file_of_somebody_is_not_rotated(tmp_path: Path, place: str) -> None:
    given = os.open(tmp_path / "out", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    file = LogFile(Path(f"{place}/{given}"), max_bytes=10, kept=1)
    for _ in range(3):
        file.append([LINE])
    file.reopen()
    assert file.append([LINE]) == (1, None)
    assert written(tmp_path) == {"out": 40}
    os.close(given)


def test_a_pipe_is_not_rotated(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    file = LogFile(tmp_path / "pipe", max_bytes=5, kept=1)
    file.append([LINE])
    file.append([LINE])
    assert os.read(reader, 100) == LINE * 2
    os.close(reader)


def test_what_cannot_be_rotated_is_written_on_and_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.1").mkdir()  # no file can take its name
    file = LogFile(tmp_path / "log", max_bytes=10, kept=1)
    for _ in range(3):
        assert file.append([LINE]) == (1, None)
    assert (tmp_path / "log").stat().st_size == 30
    assert len(caplog.messages) == 1


def test_half_a_line_of_a_writer_that_is_gone_is_ended_first(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"whole\nhal")
    file = LogFile(tmp_path / "log")
    assert file.append([LINE, LINE]) == (2, None)
    assert (tmp_path / "log").read_bytes() == b"whole\nhal\n" + LINE * 2
