"""Load generators of others, unchanged, beside our own client, on one gateway.

    .venv/bin/python -m tests.bench.judges                    # a simulated gateway of its own
    .venv/bin/python -m tests.bench.judges --url http://127.0.0.1:8000 --model qwen3-32b
    .venv/bin/python -m tests.bench.judges --write  # the table, into docs/measurements too

Each that is not part of our environment is installed into one of its own; what cannot be installed
is skipped, and the table says why. They run one after the other, so that none disturbs another.
"""

import argparse
import contextlib
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

from serve.embedded.model import prepare
from tests.bench.judges.tools import JUDGES, JudgeError, Load
from tests.bench.report import machine, table
from tests.environments import MissingError
from tests.live.gateway import ROOT, free_port, serve, write_profile

PAGE = ROOT / "docs" / "measurements" / "judges.md"
_MADE = "<!-- made by `python -m tests.bench.judges --write` -->\n"
_PROFILE = "sim-qwen3-32b-8xa10"
_HEADS = ("real seconds", "TTFT p50", "p95", "TPOT p50", "p95", "requests/s", "answered", "failed")


@contextlib.contextmanager
def gateway(url: str | None) -> Iterator[str]:
    """`url`, or that of a simulated gateway that ends afterwards."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="sluice-judges-") as folder:
        profile = write_profile(Path(folder), base=_PROFILE)
        running = serve(profile, port=free_port(), folder=Path(folder))
        try:
            running.wait_until_ready()
            yield running.url
        finally:
            running.end()


def rows(args: argparse.Namespace, url: str) -> Iterator[list[str]]:
    """A line of the table for each judge; what went wrong goes to standard error."""
    tokenizer = prepare(args.model, progress=sys.stderr.write)
    for judge in JUDGES:
        if args.only and judge.name not in args.only:
            continue
        seed = random.randrange(1 << 30)
        sizes = args.concurrency, args.requests, args.isl, args.osl
        with tempfile.TemporaryDirectory(prefix="sluice-judge-") as folder:
            try:
                found = judge.ask(Load(url, args.model, tokenizer, *sizes, seed), Path(folder))
            except (MissingError, JudgeError) as fault:
                sys.stderr.write(f"{fault}\n")
                kind = "skipped" if isinstance(fault, MissingError) else "failed"
                yield [judge.name, f"{kind}: {str(fault).splitlines()[0]}", *[""] * 6]
                continue
        yield [judge.name, *(f"{value:.3g}" for value in astuple(found))]


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a gateway that runs; left out: one is started")
    parser.add_argument("--model", default="qwen3-32b", help="embedded: its tokenizer is known")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--isl", type=int, default=256)
    parser.add_argument("--osl", type=int, default=64)
    parser.add_argument("--only", nargs="*", choices=[judge.name for judge in JUDGES])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    with gateway(args.url) as url:
        found = list(rows(args, url))
    load = f"{args.isl} tokens in, {args.osl} out, concurrency {args.concurrency}"
    text = f"{args.requests} requests of {load}; {machine()}.\n\n{table(_HEADS, found)}\n"
    print(text)
    if args.write:
        made = re.compile(f"(?<={re.escape(_MADE)}).*?(?=<!-- end -->)", re.DOTALL)
        PAGE.write_text(made.sub(lambda _: f"\n{text}\n", PAGE.read_text()))


if __name__ == "__main__":
    main()
