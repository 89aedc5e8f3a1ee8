"""Builds the plan's question from flags and, if given, a profile."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from admission.planning.advice import SLOTS, STEP
from admission.planning.gpus import Gpu, Link, find_gpu
from admission.planning.layouts import weights_name
from admission.planning.memory.budget import loads_with
from admission.planning.memory.engine.arguments import AUTO_LENGTH, ENGINE_KEYS, EngineArguments
from admission.planning.memory.estimate import GIB
from admission.planning.memory.model.config_json import overridden, read_shape
from admission.planning.memory.model.model_shape import ModelShape
from admission.planning.plan import Measurement, Question
from admission.planning.sentences import Sentence
from admission.planning.workload import Workload
from admission.speed.linear_steps import StepCoefficients
from admission.terms.slo import parse_slo
from admission.terms.spelling import UnknownNameError
from loadtests.asking.trace_file import is_trace
from loadtests.plan.findings import Open
from loadtests.plan.from_profile import FromProfile
from loadtests.plan.trace_file import read_trace
from loadtests.plan.workloads import named_workload
from serve.models.catalogue import find_config

ASSUMED_GPU = "a10"  # for a profile that names no card
_SIXTEEN_BITS = "FP16"  # the name that `weights_name` gives


def question(args: argparse.Namespace, profile: FromProfile) -> Question:
    """The question; ValueError names what is missing, unknown or impossible."""
    name = args.model or profile.model
    if not name:
        raise ValueError("no model: give --model, or --config with engine_args.model")
    if not args.gpu and args.config is None:
        raise ValueError("no GPU: give --gpu, e.g. --gpu a10")
    _check_numbers(args)
    model = read_shape(overridden(find_config(str(name)), profile.overrides or {}))
    flags = {key: getattr(args, key, None) for key in ENGINE_KEYS}
    given = {key: value for key, value in flags.items() if value is not None}
    given = {**(profile.engine or {}), **given}
    ranks, gpus = _ranks(given, model, args.gpus, profile.replicas)
    gpu = find_gpu(args.gpu or profile.gpu or ASSUMED_GPU)
    longest = given.get("max_model_len", AUTO_LENGTH)
    return Question(
        model=model,
        gpu=gpu,
        gpus=gpus,
        arguments=EngineArguments(
            **{**given, "tensor_parallel_size": ranks, "not_counted": profile.not_counted}
        ),
        measured=_measurement(profile),
        workload=_workload(args, model.max_position_tokens if longest == AUTO_LENGTH else longest),
        slo=parse_slo(args.slo),
        available_kv_bytes=_given_kv_bytes(args.available_kv_gib, profile),
        link=_link(args.link) or _simulated_link(profile.link, gpu),
    )


def _check_numbers(args: argparse.Namespace) -> None:
    """ValueError for a number that no engine or card can have."""
    if args.available_kv_gib is not None and not 0 < args.available_kv_gib < math.inf:
        raise ValueError(f"--available-kv-gib {args.available_kv_gib:g} is not positive")
    if args.weight_bits is not None and args.weight_bits < 1:
        raise ValueError(f"--weight-bits {args.weight_bits} is not positive")


def left_open(args: argparse.Namespace, asked: Question) -> Open:
    """What neither flags nor a profile fix; a profile fixes the whole engine.

    A checkpoint in a format other than 16 bits fixes the format: it was chosen for it.
    """
    named = args.config is not None
    split = args.tensor_parallel_size is not None or args.available_kv_gib is not None
    weights = args.quantization is not None or args.weight_bits is not None
    return Open(
        split=not (named or split),
        weights=not (named or weights) and weights_name(asked) == _SIXTEEN_BITS,
        kept=frozenset(name for name in (STEP, SLOTS) if getattr(args, name) is not None),
    )


def _given_kv_bytes(gib: float | None, profile: FromProfile) -> float | None:
    """The flag's KV memory, else the profile's; None = to be predicted."""
    return profile.kv_bytes if gib is None else gib * GIB


def _measurement(profile: FromProfile) -> Measurement | None:
    """The profile's `step_time` with the engine on which it was measured; None without one."""
    if profile.step_time is None or "fixed_s" not in profile.step_time:
        return None
    seconds = {field.name: 0.0 for field in fields(StepCoefficients)} | dict(profile.step_time)
    return Measurement(StepCoefficients(**seconds), EngineArguments(**(profile.engine or {})))


def _simulated_link(name: str | None, gpu: Gpu) -> Link | None:
    """The simulation's link; None if it is the card's own, which may be unmeasured."""
    link = _link(name)
    return None if gpu.speeds and link is gpu.speeds.link else link


def _link(name: str | None) -> Link | None:
    if name is None:
        return None
    if name.lower() not in [*Link]:
        raise UnknownNameError("link", name, [*Link])
    return Link(name.lower())


def _ranks(
    given: Mapping[str, Any], model: ModelShape, gpus: int | None, replicas: int
) -> tuple[int, int]:
    """TP and the number of cards; if only one is given, the other follows from it."""
    stages = int(given.get("pipeline_parallel_size", 1))
    if stages < 1:
        raise ValueError(f"pipeline_parallel_size {stages} is not positive")
    if gpus is not None and gpus < 1:
        raise ValueError(f"--gpus {gpus} is not positive")
    if "tensor_parallel_size" in given:
        ranks = int(given["tensor_parallel_size"])
        return ranks, gpus or ranks * stages * replicas
    cards = gpus or stages
    widths = [n for n in range(1, cards // max(1, stages) + 1) if cards % (n * stages) == 0]
    arguments = EngineArguments(**given)
    return max((n for n in widths if loads_with(model, arguments, n)), default=1), cards


def _workload(args: argparse.Namespace, max_model_len: int) -> Workload:
    """The named workload or trace; `--isl` and `--osl` replace its lengths."""
    if is_trace(args.workload or ""):
        named = read_trace(Path(args.workload), max_model_len=max_model_len)
    else:
        named = named_workload(args.workload or "chat", max_model_len=max_model_len)
    if args.isl is None and args.osl is None:
        return named
    return replace(
        named,
        name=args.workload or "given",
        isl_tokens=named.isl_tokens if args.isl is None else args.isl,
        osl_tokens=named.osl_tokens if args.osl is None else args.osl,
        source=Sentence("source_flags"),
        spread=None,
    )
