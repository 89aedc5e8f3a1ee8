"""The wheel holds every file that the code reads, and works without the checkout."""

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
PACKAGES = ("admission", "serve", "loadtests")


def run(*words: object, cwd: Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(  # noqa: S603 - our own
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the installer of `make setup`, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (
        UV,
        "build",
        "-q",
        "--offline",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
    )
    run(*build, "--out-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sluice(wheel: Path) -> Iterator[Path]:
    """The command, installed from the wheel beside the packages of this environment."""
    folder = wheel.parent / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=wheel.parent)
    python = folder / "bin" / "python"
    run(UV, "pip", "install", "-q", "--offline", "--no-deps", "--python", python, wheel, cwd=folder)
    (site,) = folder.glob("lib/python3*/site-packages")
    # The folder of our packages alone: its .pth files, which lead to the checkout, are not read.
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    where = run(python, "-c", "import serve; print(serve.__file__)", cwd=folder)
    assert Path(where).is_relative_to(site)
    return python.with_name("sluice")


def test_every_file_of_the_packages_and_of_configs_is_in_the_wheel(wheel: Path) -> None:
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    ours = [name for name in listed.splitlines() if (ROOT / name).is_file()]
    code = {name for name in ours if name.startswith(tuple(f"{each}/" for each in PACKAGES))}
    profiles = {f"serve/{name}" for name in ours if name.startswith("configs/")}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == code | profiles
    assert len(profiles) > 5


def test_commands_work_outside_a_checkout(sluice: Path, tmp_path: Path) -> None:
    assert "plan" in run(sluice, "--help", cwd=tmp_path)
    plan = (sluice, "plan", "--model", "Qwen/Qwen3-32B", "--gpu", "a10", "--gpus", "8")
    run(*plan, "--html", tmp_path / "plan.html", cwd=tmp_path)
    assert "<html" in (tmp_path / "plan.html").read_text()
    python = sluice.with_name("python")
    folder = run(
        python, "-c", "from serve import shipped; print(shipped.configs())", cwd=tmp_path
    ).strip()
    assert folder.endswith("site-packages/serve/configs")
    run(sluice, "check-config", f"{folder}/sim-qwen3-32b-8xa10.yaml", cwd=tmp_path)
