"""The matrix: `python -m tests.bench.faults [--only WORDS] [--state idle|busy]`.

Prints a row per play as it ends, writes bench-results/faults.md; exit status 1 when a bound was
not kept. 45 minutes for all on two cores; a gateway that survives one fault gets the next.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.bench.faults.catalogue import FAULTS
from tests.bench.faults.play import Row, State, begin, play
from tests.bench.report import machine, table
from tests.live.gateway import ROOT, Gateway, free_port

COLUMNS = ("fault", "state", "running", "queued", "new callers", "back after s", "ends", "verdict")


def main(arguments: list[str]) -> int:
    """Plays what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults", description=__doc__)
    parser.add_argument("--only", default="", help="parts of names of faults, by commas")
    parser.add_argument("--state", choices=list(State), help="one state alone")
    asked = parser.parse_args(arguments)
    states = [State(asked.state)] if asked.state else list(State)
    parts = asked.only.lower().split(",")
    faults = [each for each in FAULTS if any(part in each.name.lower() for part in parts)]
    rows: list[Row] = []
    gateway: Gateway | None = None
    with tempfile.TemporaryDirectory(prefix="sluice-faults-") as folder:
        port = free_port()
        try:
            for fault in faults:
                for state in states:
                    if gateway is None or gateway.process.poll() is not None:
                        gateway = begin(Path(folder), port)
                    rows.append(play(gateway, fault, state))
                    sys.stdout.write(" | ".join(_cells(rows[-1])) + "\n")
                    sys.stdout.flush()
                    if rows[-1].failures:  # what it left behind is not the next fault's
                        gateway.end()
        finally:
            if gateway is not None:
                gateway.end()
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    text = f"{machine()}\n\n{table(COLUMNS, [_cells(row) for row in rows])}\n"
    (results / "faults.md").write_text(text)
    return int(any(row.failures for row in rows))


def _cells(row: Row) -> list[str]:
    return [
        row.fault,
        str(row.state),
        _counts(row.running),
        _counts(row.queued),
        _counts(row.callers),
        "-" if row.back_s is None else f"{row.back_s:.0f}",
        "-" if row.exit_code is None else str(row.exit_code),
        "; ".join(dict.fromkeys(row.failures)) or "kept",
    ]


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common()) or "-"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
