"""Compares `vllm bench serve`, unchanged, with our own client on one running gateway.

    make serve CONFIG=configs/sim-qwen3-32b-8xa10.yaml        # elsewhere
    .venv/bin/python -m tests.bench.judges --model qwen3-32b --concurrency 16

Both keep so many requests of one size going, answers of exactly `--osl` tokens. vLLM's tool knows
no time scale: its figures are multiplied by the endpoint's here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from serve.embedded.model import prepare
from tests.bench.report import machine, table
from tests.live.gateway import ROOT

_MOST_S = 1200.0
# `vllm bench serve` without the `vllm` command, which does not start under the name of vLLM's
# CPU build (it asks for the version of a distribution called `vllm`).
_BENCH = (
    "import argparse; from vllm.benchmarks.serve import add_cli_args, main;"
    " parser = argparse.ArgumentParser(); add_cli_args(parser); main(parser.parse_args())"
)
_PROMISE = "ttft_p95<=10s,tpot_p95<=300ms,success>=1%"  # whether it is kept is not asked
_SHARES = ("p50", "p95", "p99")


def theirs(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """By vLLM's tool, in real seconds."""
    kind = ["--backend", "openai-chat", "--endpoint", "/v1/chat/completions"]
    tokenizer = prepare(args.model, progress=sys.stderr.write)
    where = ["--base-url", args.url, "--model", args.model, "--tokenizer", str(tokenizer)]
    sizes = ["--random-input-len", str(args.isl), "--random-output-len", str(args.osl)]
    load = ["--max-concurrency", str(args.concurrency), "--num-prompts", str(args.requests)]
    shown = ["--percentile-metrics", "ttft,tpot", "--metric-percentiles", "50,95,99"]
    kept = ["--save-result", "--result-dir", str(folder), "--result-filename", "theirs.json"]
    command = [sys.executable, "-c", _BENCH, "--ignore-eos"]
    _run([*command, *kind, *where, "--dataset-name", "random", *sizes, *load, *shown, *kept])
    found = json.loads((folder / "theirs.json").read_text())
    seen = {
        f"{measure}_{share}": found[f"{share}_{measure}_ms"] / 1000
        for measure in ("ttft", "tpot")
        for share in _SHARES
    }
    return seen | {"requests_per_s": found["request_throughput"], "answered": found["completed"]}


def ours(args: argparse.Namespace, folder: Path) -> tuple[dict[str, float], float]:
    """By `sluice limit` at one number of users, in modelled seconds; and their scale."""
    trace = folder / "one.csv"
    trace.write_text(f"prompt_tokens,output_tokens\n{args.isl},{args.osl}\n")
    load = ["--concurrency", str(args.concurrency), "--scenario", str(trace), "--ending", "exact"]
    soak = ["--soak-s", "10", "--soak-requests", str(args.requests)]
    command = [sys.executable, "-m", "serve.cli", "limit", "--host", args.url, "--slo", _PROMISE]
    # missed or late: figures all the same
    found: Any = json.loads(_run([*command, *load, *soak, "--json"], (0, 1, 3)))
    last = found["rounds"][-1]
    seen = {
        f"{measure}_{share}": last["percentiles"][f"{measure}_s"][share]
        for measure in ("ttft", "tpot")
        for share in _SHARES
    }
    counts = {"requests_per_s": last["finished_per_s"], "answered": last["outcomes"]["answered"]}
    return seen | counts, found["endpoint"]["time_scale"]


def _run(command: list[str], may_end: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=ROOT, capture_output=True, text=True, timeout=_MOST_S, check=False
    )
    if done.returncode not in may_end:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", required=True, help="name, embedded: its tokenizer is known")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--isl", type=int, default=512)
    parser.add_argument("--osl", type=int, default=128)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vllm = theirs(args, Path(folder))
        mine, scale = ours(args, Path(folder))
    scaled = {
        key: value / scale if key == "requests_per_s" else value * scale
        for key, value in vllm.items()
        if key != "answered"
    } | {"answered": vllm["answered"]}
    print(f"`python -m tests.bench.judges {' '.join(sys.argv[1:])}`, {machine()}\n")
    rows = [
        [key, f"{mine[key]:.4g}", f"{scaled[key]:.4g}", f"{scaled[key] / mine[key]:.2f}"]
        for key in mine
    ]
    print(table(["modelled seconds", "sluice limit", "vllm bench serve", "ratio"], rows))


if __name__ == "__main__":
    main()
