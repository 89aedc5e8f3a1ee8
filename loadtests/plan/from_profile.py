"""The parts of a profile that a plan depends on; `sluice check-config` checks the other keys."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from admission.planning.memory.engine.arguments import ENGINE_KEYS
from admission.planning.memory.engine.not_counted import not_counted
from admission.planning.memory.engine.spelled import read_arguments
from admission.terms.settings import Settings

_TEXTS = {"quantization", "gpu", "link"}
_SECONDS = {"fixed_s", "prefill_token_s", "decode_sequence_s", "context_token_s"}
_KINDS: dict[str, tuple[type, ...]] = {
    "weight_bits": (int,),
    **dict.fromkeys(_TEXTS, (str,)),
    **dict.fromkeys(_SECONDS, (int, float)),
}
_SIMULATED_FORMAT = ("quantization", "weight_bits")  # of the weights that it represents


@dataclass(frozen=True, slots=True)
class FromProfile:
    """A profile's `sections` as written; `engine`: arguments that memory depends on, parsed.

    `overrides`: vLLM's hf_overrides, keys of config.json. `settings`: None without an admission
    section. `named`: the dotted keys in that section.
    """

    source: str = ""
    sections: Mapping[str, Any] | None = None
    model: str | None = None
    gpu: str | None = None
    link: str | None = None
    replicas: int = 1
    engine: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None
    not_counted: tuple[str, ...] = ()
    kv_bytes: int | None = None  # per card, if the profile sets the size of the cache
    step_time: Mapping[str, float] | None = None  # as `sluice calibrate` wrote it
    settings: Settings | None = None
    named: frozenset[str] = frozenset()


def read_profile(path: Path | None) -> FromProfile:
    """The profile, empty without a path; ValueError names the file and the fault.

    A section `simulation` names the card and the weights that the simulated engine represents.
    """
    if path is None:
        return FromProfile()
    sections = _sections(path)
    if not isinstance(sections, dict) or not isinstance(sections.get("engine_args"), dict):
        raise ValueError(f"{path}: no engine_args; expected a profile")
    given = _engine_args(path, sections["engine_args"])
    simulated = _plain(path, sections, "simulation")
    engine = _plain(path, sections, "engine")
    written = given | {key: simulated[key] for key in _SIMULATED_FORMAT if key in simulated}
    replicas = engine.get("replicas", 1)
    return FromProfile(
        source=str(path),
        sections=sections,
        model=given.get("model") or engine.get("embedded_model"),
        gpu=simulated.get("gpu"),
        link=simulated.get("link"),
        replicas=replicas if isinstance(replicas, int) and replicas > 0 else 1,
        engine={key: value for key, value in written.items() if key in ENGINE_KEYS},
        overrides=given.get("hf_overrides"),
        not_counted=not_counted(given),
        kv_bytes=given.get("kv_cache_memory_bytes"),
        step_time=_plain(path, sections, "step_time") or None,
        settings=_settings(path, sections.get("admission")),
        named=frozenset(_names(sections.get("admission"))),
    )


def _engine_args(path: Path, section: Mapping[str, Any]) -> dict[str, Any]:
    """The engine arguments as vLLM reads them."""
    try:
        given = read_arguments(section)
    except ValueError as problem:
        raise ValueError(f"{path}: engine_args.{problem}") from problem
    overrides = given.get("hf_overrides")
    if overrides is not None and not isinstance(overrides, dict):
        raise ValueError(f"{path}: engine_args.hf_overrides holds no keys")
    return given


def _sections(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise ValueError(f"{path}: {problem.strerror or problem}") from problem
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: not a text file (UTF-8); give a YAML file") from problem
    except RecursionError as problem:
        raise ValueError(f"{path}: not valid YAML: nested too deeply") from problem
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        why = ": ".join(filter(None, (problem.context, problem.problem)))
        raise ValueError(f"{place}: not valid YAML: {why}") from problem
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: a date that does not exist
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(problem).split())}") from problem


def _plain(path: Path, sections: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The keys of one section that have a value; ValueError for a value of the wrong type."""
    section = sections.get(name) or {}
    if not isinstance(section, dict):
        raise ValueError(f"{path}: {name} holds no keys")
    given = {str(key): value for key, value in section.items() if value is not None}
    for key in _KINDS.keys() & given.keys():
        if type(given[key]) not in _KINDS[key]:
            wanted = "a text" if key in _TEXTS else "a number"
            raise ValueError(f"{path}: {name}.{key}: {given[key]!r} is not {wanted}")
    return given


def _settings(path: Path, section: object) -> Settings | None:
    """The admission settings, checked as the gateway checks them; None = no such section."""
    if section is None:
        return None
    # here, not above: pydantic costs a fifth of a second, and a plan without a profile needs none
    from serve.profile.settings import ProfileError, parse_admission  # noqa: PLC0415

    try:
        return parse_admission(section, f"{path}: admission").settings()
    except ProfileError as problem:
        raise ValueError(str(problem)) from problem


def _names(section: object, above: str = "") -> Iterator[str]:
    """Dotted names of all keys that the file has in a section."""
    for key, value in section.items() if isinstance(section, dict) else ():
        yield f"{above}{key}"
        yield from _names(value, f"{above}{key}.")
