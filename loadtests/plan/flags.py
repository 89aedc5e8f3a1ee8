"""The flags of `sluice plan`; flags that memory depends on have vLLM's names. Imports are light."""

import argparse
from pathlib import Path

from admission.planning.memory.engine.spelled import length, size
from admission.terms.slo import DEFAULT_SLO
from loadtests.scenarios import SCENARIOS

DEFAULT_THINK_S = 30.0  # to read an answer of a few hundred words and to type the next question
_NUMBERS = (
    (
        "--tensor-parallel-size",
        int,
        "ranks of one engine; default: all GPUs, as far as heads split",
    ),
    ("--pipeline-parallel-size", int, "stages of one engine"),
    ("--gpu-memory-utilization", float, "share of each card, 0-1"),
    ("--max-model-len", length, "tokens, prompt + answer: 32768, 32K, auto"),
    ("--max-num-seqs", int, "concurrent sequences of one engine"),
    ("--max-num-batched-tokens", size, "tokens per step"),
    ("--weight-bits", int, "bits per weight if the quantization's name does not fix them"),
    ("--available-kv-gib", float, "KV memory per GPU from the start-up log; replaces the estimate"),
    ("--isl", int, "prompt tokens, instead of the workload's"),
    ("--osl", int, "output tokens, instead of the workload's"),
)
_NAMES = (
    ("--quantization", "e.g. awq, gptq, fp8, int8, none; default: the checkpoint's own"),
    ("--dtype", "of activations: auto, float16, bfloat16"),
    ("--kv-cache-dtype", "auto, fp8, ..."),
    ("--vllm-version", "e.g. 0.19.0, 0.8.x; default: the release this project pins"),
    ("--link", "between cards: pcie4, pcie4_p2p, pcie5, nvlink; default: the card's own"),
)


def add_plan(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand; flags that are not given are None."""
    plan = commands.add_parser(
        "plan", help="predict what fits on some GPUs, how many requests they carry, and what binds"
    )
    plan.set_defaults(module="loadtests.plan.command")
    plan.add_argument(
        "--list", choices=("gpus", "models", "workloads"), help="print the known names, and exit"
    )
    plan.add_argument("--config", type=Path, metavar="FILE", help="profile; flags override it")
    plan.add_argument("--model", help="name in the catalogue, config.json, or folder with one")
    plan.add_argument("--gpu", help="card, e.g. a10; default with --config: a10")
    plan.add_argument("--gpus", type=int, metavar="N", help="cards of the server")
    for flag, kind, what in _NUMBERS:
        plan.add_argument(flag, type=kind, metavar="N", help=what)
    for flag, what in _NAMES:
        plan.add_argument(flag, metavar="NAME", help=what)
    plan.add_argument(
        *("--workload", "--scenario"),
        metavar="NAME",
        help=f"{', '.join(SCENARIOS)}, or a trace: FILE.csv[.gz]; default: chat",
    )
    plan.add_argument(
        "--think",
        type=float,
        default=DEFAULT_THINK_S,
        metavar="S",
        help=f"seconds from an answer to the user's next request; default: {DEFAULT_THINK_S:g}",
    )
    shown_slo = DEFAULT_SLO.replace("%", "%%")  # argparse expands % in help texts
    plan.add_argument("--slo", default=DEFAULT_SLO, help=f"default: {shown_slo}")
    plan.add_argument("--lang", choices=("en", "zh"), default="en", help="language; default: en")
    plan.add_argument("--html", type=Path, metavar="FILE", help="write a page in both languages")
    plan.add_argument("--svg", type=Path, metavar="FOLDER", help="write the charts as SVG files")
    plan.add_argument(
        "--write", type=Path, metavar="FILE", help="write the recommended layout as a profile"
    )
    plan.add_argument("--force", action="store_true", help="let --write replace a file")
    plan.add_argument(
        "-v", "--verbose", action="store_true", help="print memory, limits, layouts and settings"
    )
    plan.add_argument("--json", action="store_true", help="everything, with stable keys")
