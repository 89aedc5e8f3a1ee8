"""All measurements, one after the other, each into a file under `bench-results/`."""

import subprocess
import sys
from pathlib import Path

from tests.bench.report import machine

_RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
_PARTS = {
    "serving": ["tests.bench.serving"],
    "admission": ["tests.bench.admission"],
    "overload": ["tests.bench.overload"],
    "connections": ["tests.bench.connections"],
}


def main() -> None:
    """`make bench`: about half an hour on two cores, with nothing else running."""
    _RESULTS.mkdir(exist_ok=True)
    for name, words in _PARTS.items():
        command = [sys.executable, "-m", *words]
        said = f"`python -m {' '.join(words)}`, {machine()}"
        sys.stderr.write(f"{said}\n")
        done = subprocess.run(  # noqa: S603 - our own
            command, stdout=subprocess.PIPE, text=True, check=True
        )
        (_RESULTS / f"{name}.md").write_text(f"{said}\n\n{done.stdout}")
        sys.stdout.write(f"{said}\n\n{done.stdout}\n")


if __name__ == "__main__":
    main()
