"""The embedded model is made once, by one start, and only ever seen complete."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.embedded import model

NAME = "smollm2-135m-instruct"


class FakeConvert:
    """Writes one small file; can be told to fail, or to wait for `go`."""

    def __init__(self, *, fails: bool = False) -> None:
        self.runs = 0
        self.fails = fails
        self.started = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, gguf: Path, target: Path) -> None:
        assert gguf.suffix == ".gguf"
        assert not list(target.iterdir())
        self.runs += 1
        (target / "config.json").write_text("{}")
        self.started.set()
        assert self.go.wait(timeout=10)
        if self.fails:
            raise model.ModelError("no room on the disk")


def prepare(cache: Path, convert: FakeConvert, lines: list[str] | None = None) -> Path:
    progress = (lines if lines is not None else []).append
    return model.prepare(NAME, progress=progress, convert=convert, cache=cache)


def test_model_is_converted_once_and_then_found(tmp_path: Path) -> None:
    convert = FakeConvert()
    lines: list[str] = []
    first = prepare(tmp_path, convert, lines)
    assert (first / "config.json").read_text() == "{}"
    assert len(lines) == 2  # what begins, and where it ended
    assert prepare(tmp_path, convert, lines) == first
    assert convert.runs == 1
    assert len(lines) == 2


def test_failed_conversion_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    with pytest.raises(model.ModelError, match="no room"):
        prepare(tmp_path, FakeConvert(fails=True))
    again = FakeConvert()
    assert (prepare(tmp_path, again) / "config.json").is_file()
    assert again.runs == 1


def test_second_start_waits_for_the_first_and_does_not_convert(tmp_path: Path) -> None:
    convert = FakeConvert()
    convert.go.clear()
    told = threading.Event()
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        told.set()

    with ThreadPoolExecutor() as starts:
        first = starts.submit(prepare, tmp_path, convert)
        assert convert.started.wait(timeout=10)
        second = starts.submit(
            model.prepare, NAME, progress=progress, convert=convert, cache=tmp_path
        )
        assert told.wait(timeout=10)
        convert.go.set()
        assert first.result(timeout=10) == second.result(timeout=10)
    assert convert.runs == 1
    assert lines == ["another start is preparing the model; waiting for it"]


def test_another_release_or_recipe_is_made_anew(tmp_path: Path) -> None:
    folder = prepare(tmp_path, FakeConvert())
    assert folder.name.endswith(f"-{model.SOURCES[NAME].recipe}")
    folder.rename(
        folder.with_name(f"0.0-{model.SOURCES[NAME].recipe}")
    )  # as if an older package had made it
    convert = FakeConvert()
    assert prepare(tmp_path, convert) == folder
    assert convert.runs == 1


def test_unknown_name_says_which_models_there_are(tmp_path: Path) -> None:
    with pytest.raises(model.ModelError, match=NAME):
        model.prepare("gpt-2", progress=print, cache=tmp_path)


def test_missing_package_says_what_to_run(tmp_path: Path) -> None:
    source = model.Source("llm-none", "llm_none", "none.gguf", "none.convert")
    with pytest.raises(model.ModelError, match=r"llm-none.*make setup"):
        model.locate(source)


def test_cache_folder_honours_only_an_absolute_xdg_path() -> None:
    assert model.cache_folder({"XDG_CACHE_HOME": "/somewhere"}) == Path("/somewhere/sluice")
    for environ in ({}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}):
        assert model.cache_folder(environ) == Path.home() / ".cache" / "sluice"
