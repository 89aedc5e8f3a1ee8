"""Files that are no profile: each gets one clear message, never a traceback."""

import os
from pathlib import Path

import pytest

from serve.profile.settings import ProfileError, load_admission, load_profile
from serve.profile.yaml_file import parse_yaml


def refusal(path: Path) -> str:
    with pytest.raises(ProfileError) as refused:
        load_profile(path)
    return str(refused.value).replace(f"{path.parent}/", "")


def written(folder: Path, content: bytes) -> Path:
    path = folder / "p.yaml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "p.yaml: is empty; expected a mapping with the keys engine,"),
        (b"# only a comment\n", "p.yaml: is empty; expected a mapping"),
        (b"- a\n- b\n", "p.yaml: holds no keys; expected a mapping"),
        (b"just text\n", "p.yaml: holds no keys; expected a mapping"),
        (b"a: [1,\nb: 2\n", "p.yaml:3: not valid YAML: "),
        (b"a:\n\t- tab\n", "p.yaml:2: not valid YAML: found character '\\t'"),
        (b"a: 1\n---\nb: 2\n", "p.yaml:2: not valid YAML: "),
        (b"a: !!python/object:os.system x\n", "p.yaml:1: not valid YAML: could not determine a"),
        (b"a: *nothing\n", "p.yaml:1: not valid YAML: found undefined alias"),
        (b"a: 2026-13-45\n", "p.yaml: not valid YAML: month must be in 1..12"),
        (b"a: \x00\n", "p.yaml: not valid YAML: "),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "p.yaml: not a text file (UTF-8); give a YAML file"),
        (b"a: b\n" * 300_000, "p.yaml: larger than 1 MiB; this is no profile"),
        (b"[" * 600, "p.yaml: not valid YAML: nested too deeply"),
        (b"1: a\n", "p.yaml:1: 1: YAML does not read this key as text; put it in quotes"),
        (b"? [a, b]\n: c\n", "p.yaml:1: "),
        (b"http: {true: 5}\n", "p.yaml:1: http.true: YAML does not read this key as text"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    assert refusal(written(tmp_path, content)).startswith(message)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml") == "none.yaml: no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("is a folder; give the path of a YAML file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, b"a: 1\n")
    path.chmod(0)
    assert refusal(path) == "p.yaml: cannot be read: Permission denied"


def test_a_device_or_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(pipe) == "pipe: not a plain file; give a YAML file"


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = written(tmp_path, b"http:\n  port: 1\n  host: a\n  port: 2\nhttp: {}\n")
    assert refusal(path).splitlines() == [
        "p.yaml:1: http: is given twice, in lines 1 and 5",
        "p.yaml:2: http.port: is given twice, in lines 2 and 4",
    ]


def test_the_same_key_may_stand_in_each_item_of_a_list() -> None:
    assert parse_yaml("a: [{b: 1}, {b: 2}]\n", "f").values == {"a": [{"b": 1}, {"b": 2}]}


def test_an_anchor_that_holds_itself_ends() -> None:
    assert isinstance(parse_yaml("a: &x {b: *x}\n", "f").values, dict)


def test_anchors_and_merges_work() -> None:
    text = "base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\n"
    assert parse_yaml(text, "f").values == {"base": {"x": 1, "y": 2}, "mine": {"x": 1, "y": 3}}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfmode: shadow\n")
    assert load_admission(path).mode == "shadow"
