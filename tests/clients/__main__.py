"""Ten client libraries, as people install them, against a gateway with the small model.

    .venv/bin/python -m tests.clients            # the table, and what went wrong
    .venv/bin/python -m tests.clients --write    # and the table into docs/measurements/clients.md
    .venv/bin/python -m tests.clients --only litellm

Exit code 1: a case went wrong. What cannot be installed here is skipped, and the table says why.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.report import machine, table
from tests.clients.asked import CASES, Row, ask, profile
from tests.clients.installed import CLIENTS
from tests.live.gateway import ROOT, free_port, serve, write_profile

PAGE = ROOT / "docs" / "measurements" / "clients.md"
_MADE = "<!-- made by `python -m tests.clients --write` -->\n"
_HEADS = (
    "client",
    "plain",
    "stream",
    "usage",
    "forced tool",
    "structured",
    "429",
    "wrong key",
    "abort",
)


def run(names: Sequence[str]) -> list[Row]:
    """Starts a gateway, asks, ends it."""
    clients = [client for client in CLIENTS if not names or client.name in names]
    with tempfile.TemporaryDirectory(prefix="sluice-clients-") as folder:
        file = write_profile(Path(folder), **profile(Path(folder)))
        gateway = serve(file, port=free_port(), folder=Path(folder))
        try:
            gateway.wait_until_ready()
            return ask(gateway, clients)
        finally:
            gateway.end()


def shown(rows: Sequence[Row]) -> str:
    """The table, with the day and the machine."""
    lines = [[f"{row.client.name} {row.client.version}", *_cells(row)] for row in rows]
    return f"Measured {machine()}.\n\n{table(_HEADS, lines)}\n"


def _cells(row: Row) -> list[str]:
    if row.skipped is not None:
        return [f"skipped: {row.skipped}", *[""] * (len(CASES) - 1)]
    told = ("refused", "wrong_key")
    return [
        "**wrong**"
        if case not in row.cases or not row.cases[case].ok
        else row.cases[case].text.replace('"', "")
        if case in told
        else "ok"
        for case in CASES
    ]


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", nargs="*", default=[], choices=[c.name for c in CLIENTS])
    args = parser.parse_args()
    rows = run(args.only)
    text = shown(rows)
    print(text)
    wrong = [line for row in rows if row.skipped is None for line in row.wrong]
    print("\n".join(wrong))
    if args.write:
        page = PAGE.read_text()
        made = re.compile(f"(?<={re.escape(_MADE)}).*?(?=<!-- end -->)", re.DOTALL)
        PAGE.write_text(made.sub(lambda _: f"\n{text}\n", page))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
