"""Flags and, if given, a profile -> the question that the plan answers."""

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import yaml

from admission.gpus import find_gpu
from admission.memory.arguments import EngineArguments
from admission.memory.config_json import read_shape
from admission.memory.estimate import GIB
from admission.memory.model_shape import ModelShape
from admission.plan import Question
from admission.slo import parse_slo
from admission.workload import Workload, find_workload
from serve.plan.catalogue import find_config

_ENGINE_KEYS = {field.name for field in fields(EngineArguments)}
_INTEGERS = {"tensor_parallel_size", "pipeline_parallel_size", "max_model_len", "max_num_seqs"}
_INTEGERS |= {"max_num_batched_tokens", "block_size"}
_TEXTS = {"model", "quantization", "dtype", "kv_cache_dtype"}
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_INTEGERS, (int,)),
    **dict.fromkeys(_TEXTS, (str,)),
    "gpu_memory_utilization": (int, float),
}


def question(args: argparse.Namespace) -> Question:
    """The question; ValueError names what is missing, unknown or impossible."""
    profile = _profile_arguments(args)
    name = args.model or profile.get("model")
    if not name:
        raise ValueError("no model: give --model, or --config with engine_args.model")
    if not args.gpu and args.config is None:
        raise ValueError("no GPU: give --gpu, e.g. --gpu a10")
    if args.available_kv_gib is not None and args.available_kv_gib <= 0:
        raise ValueError(f"--available-kv-gib {args.available_kv_gib:g} is not positive")
    model = read_shape(find_config(str(name)))
    given = {key: value for key, value in profile.items() if key in _ENGINE_KEYS}
    flags = {key: getattr(args, key, None) for key in _ENGINE_KEYS}
    given |= {key: value for key, value in flags.items() if value is not None}
    ranks, gpus = _ranks(given, model, args.gpus)
    arguments = EngineArguments(**{**given, "tensor_parallel_size": ranks})
    return Question(
        model=model,
        gpu=find_gpu(args.gpu or "a10"),
        gpus=gpus,
        arguments=arguments,
        workload=_workload(args),
        slo=parse_slo(args.slo),
        available_kv_bytes=args.available_kv_gib and args.available_kv_gib * GIB,
    )


def _ranks(given: Mapping[str, Any], model: ModelShape, gpus: int | None) -> tuple[int, int]:
    """TP and the number of cards; each follows from the other where only one is given."""
    stages = int(given.get("pipeline_parallel_size", 1))
    if gpus is not None and gpus < 1:
        raise ValueError(f"--gpus {gpus} is not positive")
    if "tensor_parallel_size" in given:
        ranks = int(given["tensor_parallel_size"])
        return ranks, gpus or ranks * stages
    cards = gpus or stages
    widths = [n for n in range(1, cards // max(1, stages) + 1) if cards % (n * stages) == 0]
    even = [n for n in widths if not any(x.heads % n for x in model.attending)]
    return max(even, default=1), cards


def _workload(args: argparse.Namespace) -> Workload:
    """The preset, with the lengths that were given in place of its own."""
    named = find_workload(args.workload or "chat")
    if args.isl is None and args.osl is None:
        return named
    return replace(
        named,
        name=args.workload or "given",
        isl_tokens=named.isl_tokens if args.isl is None else args.isl,
        osl_tokens=named.osl_tokens if args.osl is None else args.osl,
        source="--isl, --osl",
    )


def _profile_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The profile's engine_args; only what memory depends on is looked at."""
    if args.config is None:
        return {}
    try:
        profile = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ValueError(f"{args.config}: {problem.strerror or problem}") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ValueError(f"{args.config}: {' '.join(str(problem).split())}") from problem
    section = profile.get("engine_args") if isinstance(profile, dict) else None
    if not isinstance(section, dict):
        raise ValueError(f"{args.config}: no engine_args; expected a profile")
    given = {str(key): value for key, value in section.items() if value is not None}
    for key in _KINDS.keys() & given.keys():
        if type(given[key]) not in _KINDS[key]:
            wanted = "a text" if key in _TEXTS else "a number"
            raise ValueError(f"{args.config}: engine_args.{key}: {given[key]!r} is not {wanted}")
    return given
