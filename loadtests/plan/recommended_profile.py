"""Writes the recommended layout as a complete profile with a comment for every number."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admission.planning.advice import Advice, Choice
from admission.planning.gpus import Link
from admission.planning.layouts import Layout, reason
from admission.planning.memory.estimate import GIB
from admission.planning.plan import Plan
from loadtests.plan.commented_yaml import CommentedEntry, comment, section
from loadtests.plan.findings import Findings
from loadtests.plan.from_profile import FromProfile
from serve.models.catalogue import known_models
from serve.profile.keys import Key, keys_of
from serve.profile.settings import Profile, ProfileError, parse_profile

_MAPS = ("engine.environment", "engine_args", "server_args")
_PATHS = ("access.api_keys_file", "telemetry.access_log", "telemetry.decision_log")
_OURS = {"int4": "awq_marlin", "awq": "awq_marlin", "int8": None, "none": None}  # to vLLM's names
_OF_ANOTHER_LAYOUT = {"pipeline_parallel_size", "kv_cache_memory_bytes", "num_gpu_blocks_override"}
_SECTIONS = ("http", "access", "telemetry")


@dataclass(frozen=True, slots=True)
class Recommended:
    """The inputs of the profile; `base` is the profile in the question, empty without one."""

    found: Findings
    chosen: Layout
    advice: Advice
    model: str
    base: FromProfile
    folder: Path  # of the new file: the base's paths become relative to it

    @property
    def plan(self) -> Plan:
        """The plan of the layout, with the advised step."""
        return self.advice.settled

    @property
    def checkpoint(self) -> str:
        """A sibling checkpoint in the layout's format if one is known, else the named model."""
        path = Path(self.model).expanduser()
        if path.suffix == ".json":
            return str(path.parent)
        return _checkpoint(self.model, self.chosen.weights) or self.model

    def given(self, name: str) -> Mapping[str, Any]:
        """A section of the base; empty if the base has none."""
        section = (self.base.sections or {}).get(name)
        return section if isinstance(section, dict) else {}


def write_profile(file: Path, found: Findings, model: str, base: FromProfile) -> str:
    """Writes the profile of the best layout; returns a line that reports it, or why not.

    If that layout needs a checkpoint in another format and none is known, the best layout in the
    model's own format is written. If the base's own keys do not make a valid profile, it raises a
    ValueError and writes no file.
    """
    chosen, why = _written_layout(found, model)
    if chosen is None or chosen.advice is None:
        return f"sluice plan: {file} not written: {why}\n"
    wanted = Recommended(found, chosen.layout, chosen.advice, model, base, file.parent)
    written = recommended_profile(wanted)
    try:
        parse_profile(written, str(file))
    except ProfileError as problem:
        raise ValueError(f"{base.source} makes no good profile: {problem}") from problem
    file.write_text(written, encoding="utf-8")
    named = f"{chosen.layout.name} in {chosen.layout.weights}"
    return f"sluice plan: wrote {file}: {named}{f'; {why}' if why else ''}\n"


def _written_layout(found: Findings, model: str) -> tuple[Choice | None, str]:
    """The layout to write, and why it is not the best one; "" = it is."""
    led = found.led
    if led is None:
        return None, "nothing fits"
    if led is found.own or _checkpoint(model, led.layout.weights):
        return led, ""
    weights = led.layout.weights
    why = f"no {weights} checkpoint of {model} is known here: name one with --model"
    return found.own, why


def recommended_profile(wanted: Recommended) -> str:
    """The YAML text; `load_profile` can load it if it can load the base."""
    plan, work = wanted.plan, wanted.plan.question.workload
    head = comment(
        f"{wanted.model} on {plan.question.gpus} x {plan.question.gpu.name} as"
        f" {wanted.chosen.name}, for the workload {work.name} ({work.isl_tokens:,} tokens in,"
        f" {work.osl_tokens:,} out) and the SLO {str(plan.question.slo) or 'none'}. Written by"
        " `sluice plan --write`: its numbers are derived, and no run on such a server has"
        " checked them. Every key, its range and default: docs/reference/configuration.md."
    )
    known = list(keys_of(Profile))
    parts = [
        section("engine", _engine(wanted, known)),
        section("engine_args", _engine_args(wanted)),
        *_carried(wanted, "server_args"),
        *_carried(wanted, "simulation"),
        *(section(name, _plain(wanted, known, name)) for name in _SECTIONS),
        section("admission", _admission(wanted, known)),
    ]
    return "\n\n".join([head, *parts]) + "\n"


def _engine(wanted: Recommended, known: list[Key]) -> Iterator[CommentedEntry]:
    for entry in _plain(wanted, known, "engine"):
        if entry.key == "replicas":
            why = f"engines: {reason(wanted.chosen, wanted.found.layouts)}"
            yield CommentedEntry("replicas", wanted.chosen.replicas, why)
        elif entry.value is not None and entry.key != "gpus_per_replica":  # follows from TP and PP
            yield entry
    environment = wanted.given("engine").get("environment")
    if environment:
        yield CommentedEntry("environment", environment, f"as in {wanted.base.source}")


def _engine_args(wanted: Recommended) -> Iterator[CommentedEntry]:
    """What the plan decides, then the base's other arguments, or those that every engine needs."""
    decided = [*_weights(wanted), *_sizes(wanted)]
    yield from decided
    names = {entry.key for entry in decided} | _OF_ANOTHER_LAYOUT
    given = wanted.given("engine_args")
    for name, value in given.items():
        if name not in names and value is not None:
            yield CommentedEntry(name, value, f"as in {wanted.base.source}")
    if not given:
        yield from _usual(wanted.plan)


def _weights(wanted: Recommended) -> Iterator[CommentedEntry]:
    arguments, weights = wanted.plan.question.arguments, wanted.chosen.weights
    if not wanted.given("engine").get("embedded_model"):
        name = wanted.checkpoint
        gib = wanted.plan.memory.budget.weights.expected / GIB
        why = f"repository or folder of the {weights} checkpoint; {gib:.2f} GiB of weights a card"
        yield CommentedEntry("model", name, why)
    quantization = (arguments.quantization or "").lower()
    kernels = _OURS.get(quantization, quantization)
    if kernels and not wanted.given(
        "simulation"
    ):  # a simulation names the weights in its own section
        yield CommentedEntry(
            "quantization", kernels, f"name: {weights} weights, with the kernels of that name"
        )
    for key in ("dtype", "kv_cache_dtype"):
        value = getattr(arguments, key)
        if value != "auto" or key in wanted.given("engine_args"):
            yield CommentedEntry(key, value, "number format, as it was given")


def _checkpoint(model: str, weights: str) -> str | None:
    """The model's sibling checkpoint in that format; None if the catalogue has none."""
    sibling = f"{model}-AWQ"
    return sibling if weights == "INT4" and sibling in known_models() else None


def _sizes(wanted: Recommended) -> Iterator[CommentedEntry]:
    """The numbers of the plan, each with its arithmetic."""
    plan, memory = wanted.plan, wanted.plan.memory
    engine, budget, replicas = memory.engine, memory.budget, plan.question.replicas
    each = memory.bytes_per_token_per_gpu
    yield CommentedEntry(
        "tensor_parallel_size",
        engine.tp,
        f"ranks of one engine; a KV token takes {each:,} bytes on each card",
    )
    if engine.pp > 1:
        yield CommentedEntry("pipeline_parallel_size", engine.pp, "stages of one engine")
    parts = [f"{part.expected / GIB:.2f} {name}" for name, part in budget.parts()[:4]]
    low, high = budget.kv.low / GIB, budget.kv.high / GIB
    yield CommentedEntry(
        "gpu_memory_utilization",
        engine.utilization_ratio,
        f"ratio of each card: x {budget.total.expected / GIB:.2f} GiB (what torch sees) ="
        f" {budget.reserved.expected / GIB:.2f}, less {', '.join(parts)} ="
        f" {budget.kv.expected / GIB:.2f} GiB of KV ({low:.2f} to {high:.2f}), derived",
    )
    share = 1 / memory.max_concurrency.expected
    yield CommentedEntry(
        "max_model_len",
        engine.max_model_len,
        f"tokens, prompt + answer: a request of that length takes {share:.0%} of the"
        f" {memory.capacity_tokens.expected:,.0f} tokens that one engine's cache holds, derived",
    )
    yield CommentedEntry("block_size", engine.block_tokens, "tokens per KV block")
    found = plan.load.sustained
    yield CommentedEntry(
        "max_num_seqs",
        wanted.advice.max_num_seqs,
        f"sequences at once: {found.expected / replicas:.0f} of this workload are sustained"
        f" ({found.low / replicas:.0f} to {found.high / replicas:.0f}, {plan.load.binding} binds);"
        " a quarter more than the most for shorter requests, in eights",
    )
    yield CommentedEntry(
        "max_num_batched_tokens",
        engine.max_batched_tokens,
        "tokens per step: the most of which a full step keeps the TPOT bound, or, where that"
        " carries less, what carries most within the SLO; at the decode limit"
        f" {plan.load.limits['decode'].note}, derived",
    )


def _usual(plan: Plan) -> Iterator[CommentedEntry]:
    """Arguments that every engine behind the gateway needs and that the plan assumes."""
    speeds = plan.question.gpu.speeds
    if plan.memory.engine.tp > 1:
        yield CommentedEntry(
            "distributed_executor_backend",
            "mp",
            "name: the ranks are processes of one replica; inside Ray vLLM could pick ray and ask"
            " for the cards twice",
        )
    if plan.memory.engine.tp > 2 and not (speeds and speeds.link is Link.NVLINK):  # noqa: PLR2004 -- vLLM's own bound
        yield CommentedEntry(
            "disable_custom_all_reduce",
            True,
            "more than two cards without NVLink: vLLM would switch it off by itself",
        )
    yield CommentedEntry(
        "enable_prefix_caching", True, "prompts that begin alike are computed once"
    )
    yield CommentedEntry(
        "enable_logging_iteration_details",
        True,
        "prefill and decode tokens of each step: what admission measures the backlog with",
    )


def _admission(wanted: Recommended, known: list[Key]) -> Iterator[CommentedEntry]:
    """The recommended settings with their arithmetic; the others as in the base, or the default."""
    settings, slo = wanted.advice.settings, wanted.plan.question.slo
    deadline_s, backlog = settings.ttft_deadline_s, settings.prefill_backlog_max_tokens
    advised = {
        "ttft_deadline_s": (
            deadline_s,
            "seconds until the first token, unless the client says: "
            + ("the SLO's bound" if deadline_s == slo.ttft_s else "the default, no bound given"),
        ),
        "tpot_target_s": (
            settings.tpot_target_s,
            "seconds a token may take, over a whole answer: the SLO's bound, if any",
        ),
        "prefill_backlog_max_tokens": (
            backlog,
            "tokens of accepted prompts not yet computed: what one engine computes in"
            f" {deadline_s:g} s beside its decodes, at least one step; derived",
        ),
    }
    for entry in _plain(wanted, known, "admission"):
        value, why = advised.get(entry.key, (entry.value, entry.why))
        if entry.key == "ttft_deadline_max_s":
            value = max(float(str(entry.value)), deadline_s)
        yield CommentedEntry(entry.key, value, why)


def _plain(wanted: Recommended, known: list[Key], name: str) -> Iterator[CommentedEntry]:
    """Every key of a section with the base's value or the default, and its description."""
    for key in known:
        top, _, rest = key.path.partition(".")
        if top != name or key.path in _MAPS:
            continue
        value = _value(wanted.given(name), rest, key.default)
        if key.path in _PATHS and isinstance(value, str) and value != "-":
            value = _from_folder(wanted, value)
        ground = key.why if value == _written(key.default) else f"as in {wanted.base.source}"
        yield CommentedEntry(rest, value, f"{key.unit}: {key.what}; {ground}".replace("`", ""))


def _value(section: Mapping[str, Any], dotted: str, default: object) -> object:
    for name in dotted.split("."):
        if not isinstance(section, dict) or name not in section:
            return _written(default)
        section = section[name]
    return section


def _written(default: object) -> object:
    """A default in YAML's form: an enum member becomes its value."""
    return getattr(default, "value", default)


def _from_folder(wanted: Recommended, path: str) -> str:
    """A path of the base, relative to the new file's folder."""
    absolute = Path(wanted.base.source).resolve().parent / path
    return os.path.relpath(absolute, wanted.folder.resolve())


def _carried(wanted: Recommended, name: str) -> list[str]:
    """A section that the plan does not decide, copied from the base; empty if the base has none."""
    entries = [
        CommentedEntry(k, v, f"as in {wanted.base.source}") for k, v in wanted.given(name).items()
    ]
    return [section(name, entries)] if entries else []
