"""The judges: how each is called, and where it leaves its figures.

All keep `concurrency` requests of one size going until `requests` were asked. None knows a time
scale: seconds here are real ones.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.environments import python_environment

_HERE = Path(__file__).parent
_MOST_S = 1200.0
# Whether it is kept is not asked, but a round warms up for as long as its bounds let answers take.
_PROMISE = "ttft_p95<=10s,tpot_p95<=300ms,success>=1%"
# `vllm bench serve` without the `vllm` command, which does not start under the name of vLLM's
# CPU build (it asks for the version of a distribution called `vllm`).
_BENCH = (
    "import argparse; from vllm.benchmarks.serve import add_cli_args, main;"
    " parser = argparse.ArgumentParser(); add_cli_args(parser); main(parser.parse_args())"
)


@dataclass(frozen=True)
class Load:
    """What is asked, of whom."""

    url: str
    model: str
    tokenizer: Path  # folder
    concurrency: int
    requests: int
    isl: int
    osl: int
    seed: int  # another each time: the same prompts again are found in the prefix cache


@dataclass(frozen=True)
class Figures:
    """Seconds, each judge's own idea of them; `failed` counts refusals where the judge does."""

    ttft_p50_s: float
    ttft_p95_s: float
    tpot_p50_s: float
    tpot_p95_s: float
    requests_per_s: float
    answered: int
    failed: int


@dataclass(frozen=True)
class Judge:
    """A load generator, run unchanged in a folder of its own."""

    name: str
    command: Callable[[Load], list[str]]
    read: Callable[[Path], Figures]
    may_end: tuple[int, ...] = (0,)
    environment: Mapping[str, str] | None = None

    def ask(self, load: Load, folder: Path) -> Figures:
        """Raises MissingError where it cannot be installed, JudgeError where it fails."""
        (folder / "tokenizer").symlink_to(load.tokenizer)
        (folder / "one.csv").write_text(f"prompt_tokens,output_tokens\n{load.isl},{load.osl}\n")
        done = subprocess.run(  # noqa: S603 - our own words
            self.command(load),
            cwd=folder,
            env=_environment(self.environment),
            capture_output=True,
            text=True,
            timeout=_MOST_S,
            check=False,
        )
        (folder / "stdout").write_text(done.stdout)
        if done.returncode not in self.may_end:
            raise JudgeError(f"{self.name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return self.read(folder)


class JudgeError(Exception):
    """A judge ended otherwise than it should; the message has what it wrote."""


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(more or {})}


def _script(lock: str, name: str, *, borrows: bool = False) -> str:
    folder = python_environment(_HERE / f"{lock}.txt", borrows=borrows)
    return str(folder / "bin" / name)


def _limit(load: Load) -> list[str]:
    rounds = ["--concurrency", str(load.concurrency), "--scenario", "one.csv", "--ending", "exact"]
    soak = ["--soak-s", "10", "--soak-requests", str(load.requests), "--seed", str(load.seed)]
    command = [
        sys.executable,
        "-m",
        "serve.commands.cli",
        "limit",
        "--host",
        load.url,
        "--slo",
        _PROMISE,
    ]
    return [*command, *rounds, *soak, "--json"]


def _limit_figures(folder: Path) -> Figures:
    found = json.loads((folder / "stdout").read_text())
    last, scale = found["rounds"][-1], found["endpoint"]["time_scale"]
    ttft, tpot = (last["percentiles"][name] for name in ("ttft_s", "tpot_s"))
    outcomes = last["outcomes"]
    return Figures(
        ttft["p50"] / scale,
        ttft["p95"] / scale,
        tpot["p50"] / scale,
        tpot["p95"] / scale,
        last["finished_per_s"] * scale,
        outcomes["answered"],
        sum(outcomes.values()) - outcomes["answered"],
    )


def _vllm(load: Load) -> list[str]:
    kind = ["--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--ignore-eos"]
    where = ["--base-url", load.url, "--model", load.model, "--tokenizer", "tokenizer"]
    sizes = ["--random-input-len", str(load.isl), "--random-output-len", str(load.osl)]
    count = ["--max-concurrency", str(load.concurrency), "--num-prompts", str(load.requests)]
    shown = ["--percentile-metrics", "ttft,tpot", "--metric-percentiles", "50,95"]
    kept = ["--save-result", "--result-dir", ".", "--result-filename", "result.json"]
    command = [sys.executable, "-c", _BENCH, "--dataset-name", "random", "--seed", str(load.seed)]
    return [*command, *kind, *where, *sizes, *count, *shown, *kept]


def _vllm_figures(folder: Path) -> Figures:
    found = json.loads((folder / "result.json").read_text())
    shares = [found[f"{p}_{name}_ms"] / 1000 for name in ("ttft", "tpot") for p in ("p50", "p95")]
    return Figures(*shares, found["request_throughput"], found["completed"], found["failed"])


def _guidellm(load: Load) -> list[str]:
    program = _script("guidellm", "guidellm", borrows=True)
    backend = f"kind=openai_http,target={load.url},model={load.model}"
    data = f"kind=synthetic_text,prompt_tokens={load.isl},output_tokens={load.osl}"
    return [
        *(program, "run", "--disable-console", "--backend", backend, "--data", data),
        *("--profile", f"kind=concurrent,streams={load.concurrency}"),
        *("--constraint", f"kind=max_requests,count={load.requests}"),
        *("--tokenizer", "kind=huggingface_auto,model=tokenizer"),
        *("--seed", f"kind=static,value={load.seed}", "--output", "kind=json,path=result.json"),
    ]


def _guidellm_figures(folder: Path) -> Figures:
    (found,) = json.loads((folder / "result.json").read_text())["benchmarks"]
    metrics = found["metrics"]

    def shares(name: str) -> tuple[float, float]:
        percentiles = metrics[name]["successful"]["percentiles"]
        return percentiles["p50"] / 1000, percentiles["p95"] / 1000

    totals = metrics["request_totals"]
    return Figures(
        *shares("time_to_first_token_ms"),
        *shares("time_per_output_token_ms"),
        metrics["requests_per_second"]["successful"]["mean"],
        totals["successful"],
        totals["errored"],
    )


def _aiperf(load: Load) -> list[str]:
    return [
        *(_script("aiperf", "aiperf"), "profile", "-m", load.model, "--url", load.url),
        *("--endpoint-type", "chat", "--streaming", "--tokenizer", "./tokenizer", "--ui", "none"),
        *("--concurrency", str(load.concurrency), "--request-count", str(load.requests)),
        *("--isl", str(load.isl), "--osl", str(load.osl), "--extra-inputs", "ignore_eos:true"),
        *("--random-seed", str(load.seed), "--artifact-dir", "result"),
    ]


def _aiperf_figures(folder: Path) -> Figures:
    found = json.loads((folder / "result/profile_export_aiperf.json").read_text())
    names = ("time_to_first_token", "inter_token_latency")
    shares = [found[name][share] / 1000 for name in names for share in ("p50", "p95")]
    failed = (found.get("error_request_count") or {"avg": 0})["avg"]
    rate, answered = found["request_throughput"]["avg"], found["request_count"]["avg"]
    return Figures(*shares, rate, int(answered), int(failed))


def _evalscope(load: Load) -> list[str]:
    size = str(load.isl)
    return [
        *(_script("evalscope", "evalscope"), "perf", "--api", "openai", "--model", load.model),
        *("--url", f"{load.url}/v1/chat/completions", "--dataset", "random"),
        *(
            "--tokenizer-path",
            "tokenizer",
            "--min-prompt-length",
            size,
            "--max-prompt-length",
            size,
        ),
        *("--max-tokens", str(load.osl), "--min-tokens", str(load.osl), "--seed", str(load.seed)),
        *("--parallel", str(load.concurrency), "--number", str(load.requests)),
        *("--extra-args", '{"ignore_eos": true}', "--outputs-dir", "result", "--no-timestamp"),
    ]


def _evalscope_figures(folder: Path) -> Figures:
    (run,) = (folder / "result").glob("*/parallel_*")
    found = json.loads((run / "benchmark_summary.json").read_text())
    rows = json.loads((run / "benchmark_percentile.json").read_text())
    at = {row["Percentiles"]: row for row in rows}
    names = ("TTFT (ms)", "TPOT (ms)")
    shares = [at[share][name] / 1000 for name in names for share in ("50%", "95%")]
    return Figures(
        *shares,
        found["Req Throughput (req/s)"],
        found["Success Requests"],
        found["Failed Requests"],
    )


_OFFLINE = {"HF_HUB_OFFLINE": "1"}
JUDGES = (
    # ours: missed, or the client was late: figures all the same
    Judge("sluice limit", _limit, _limit_figures, may_end=(0, 1, 3)),
    Judge("vllm bench serve", _vllm, _vllm_figures),
    Judge("guidellm", _guidellm, _guidellm_figures, environment=_OFFLINE),
    Judge("aiperf", _aiperf, _aiperf_figures),  # offline it takes no folder for a tokenizer
    Judge("evalscope perf", _evalscope, _evalscope_figures, environment=_OFFLINE),
)
