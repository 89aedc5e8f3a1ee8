"""`make setup` leaves every `.venv` alone that it has not made."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
MARK = ".made-by-make-setup"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As far as the set-up looks before it needs a network."""
    folder = tmp_path / "checkout"
    shutil.copytree(DEPLOY, folder / "deploy")
    (folder / "pyproject.toml").touch()
    return folder


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the script, which finds no package anywhere."""
    offline = {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "HOME": str(checkout)}
    return subprocess.run(  # noqa: S603 - our own
        ["/bin/bash", str(checkout / "deploy" / "install.sh")],
        env=offline | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def link(venv: Path) -> Path:
    target = venv.parent.parent / "elsewhere"
    target.mkdir()
    (target / "data").touch()
    venv.symlink_to(target)
    return target / "data"


def dangling_link(venv: Path) -> Path:
    venv.symlink_to(venv.parent.parent / "nowhere")
    return venv.parent / "pyproject.toml"


def file(venv: Path) -> Path:
    venv.write_text("mine")
    return venv


def foreign(venv: Path) -> Path:
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin")
    return venv / "pyvenv.cfg"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (link, ".venv is a link to"),
        (dangling_link, ".venv is a link to"),
        (file, ".venv is no folder"),
        (foreign, ".venv was not made by make setup"),
    ],
)
def test_what_it_has_not_made_is_named_and_left_as_it_is(
    checkout: Path, make: Callable[[Path], Path], told: str
) -> None:
    kept = make(checkout / ".venv")
    before = kept.read_bytes()
    done = set_up(checkout)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"sluice set-up: {told}")
    assert done.stderr.count("\n") == 1
    assert kept.read_bytes() == before
    assert (checkout / ".venv").is_symlink() == (make in (link, dangling_link))


@pytest.mark.parametrize("left", [(MARK, "bin/python"), (".device", "pyvenv.cfg")])
def test_a_set_up_that_was_cut_off_begins_anew(checkout: Path, left: tuple[str, ...]) -> None:
    for name in left:
        (checkout / ".venv" / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / ".venv" / name).touch()
    told = set_up(checkout, PYTHON="python3").stderr
    assert "creating .venv with Python" in told
    assert (checkout / ".venv" / MARK).exists()
    assert (checkout / ".venv" / "bin" / "python").stat().st_size > 0
