"""A profile: the whole configuration of a deployment, read from a YAML file before Ray starts."""

import ipaddress
import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

from admission.planning.gpus import find_gpu
from serve.embedded.model import WITHOUT_WEIGHTS
from serve.profile import refused_arguments
from serve.profile.access_section import AccessSection
from serve.profile.admission_section import AdmissionSection, QueueSection, StaticSection
from serve.profile.complaints import ProfileError, complaints, profile_error
from serve.profile.keys import key, plain, section_of
from serve.profile.sections import (
    EngineSection,
    HttpSection,
    Section,
    SimulationSection,
    StepTimeSection,
    TelemetrySection,
)
from serve.profile.yaml_file import YamlFile, parse_yaml, read_yaml

__all__ = [
    "AccessSection",
    "AdmissionSection",
    "EngineSection",
    "HttpSection",
    "Profile",
    "ProfileError",
    "QueueSection",
    "SimulationSection",
    "StaticSection",
    "StepTimeSection",
    "TelemetrySection",
    "is_loopback",
    "load_admission",
    "load_profile",
    "parse_admission",
    "parse_profile",
]

_Model = TypeVar("_Model", bound=BaseModel)

_PARALLEL_SIZES = (
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "prefill_context_parallel_size",
)


class Profile(Section):
    """One deployment. The order of the sections lets validators refer to earlier ones."""

    engine: EngineSection = EngineSection()
    engine_args: dict[str, Any] = key(
        {},
        what="vLLM's engine arguments by vLLM's own names (snake_case), e.g. `max_model_len`",
        unit="map",
        why="vLLM's defaults hold for what is not named",
        allowed="vLLM's engine arguments, one per line",
    )
    server_args: dict[str, Any] = key(
        {},
        what="vLLM's front-end arguments by vLLM's own names, e.g. `tool_call_parser`, "
        "`chat_template`",
        unit="map",
        why="vLLM's defaults hold for what is not named",
        allowed="vLLM's front-end arguments, one per line",
    )
    step_time: StepTimeSection = StepTimeSection()
    simulation: SimulationSection = SimulationSection()
    http: HttpSection = HttpSection()
    access: AccessSection = AccessSection()
    telemetry: TelemetrySection = TelemetrySection()
    admission: AdmissionSection = AdmissionSection()

    @field_validator("engine_args", "server_args")
    @classmethod
    def _nothing_that_breaks_admission(cls, given: dict[str, Any]) -> dict[str, Any]:
        refused_arguments.check_arguments(given)
        return given

    @field_validator("engine_args")
    @classmethod
    def _fits_the_engine_section(
        cls, given: dict[str, Any], info: ValidationInfo
    ) -> dict[str, Any]:
        engine: EngineSection | None = info.data.get("engine")  # absent when itself at fault
        if engine is None:
            return given
        if engine.embedded_model is None and not given.get("model"):
            raise ValueError("no model: give engine_args.model or engine.embedded_model")
        if engine.embedded_model is not None and "model" in given:
            raise ValueError(
                "two models: give engine_args.model or engine.embedded_model, not both"
            )
        if engine.kind == "vllm" and engine.embedded_model in WITHOUT_WEIGHTS:
            raise ValueError(
                f"{engine.embedded_model} is embedded without weights; it runs with "
                "engine.kind: simulated"
            )
        ranks = _ranks(given)
        gpus = engine.gpus_per_replica
        if gpus and ranks > 1 and gpus < ranks:  # a single rank may take a share of a GPU
            raise ValueError(
                f"the parallel sizes need {ranks} GPUs, but engine.gpus_per_replica is "
                f"{plain(gpus)}; leave it out or give at least {ranks}"
            )
        return given

    @field_validator("simulation")
    @classmethod
    def _says_how_long_steps_take(
        cls, given: SimulationSection, info: ValidationInfo
    ) -> SimulationSection:
        engine: EngineSection | None = info.data.get("engine")
        step_time: StepTimeSection | None = info.data.get("step_time")
        if engine is None or step_time is None or not engine.simulated:
            return given
        if given.gpu is None and step_time.fixed_s is None:
            raise ValueError(
                "nothing says how long steps take: give gpu here, or step_time.fixed_s"
            )
        if given.gpu is None and not info.data.get("engine_args", {}).get("kv_cache_memory_bytes"):
            raise ValueError(
                "nothing says how large the KV cache is: give gpu here, or "
                "engine_args.kv_cache_memory_bytes"
            )
        if given.gpu is not None:
            find_gpu(given.gpu)
        return given

    @field_validator("access")
    @classmethod
    def _keys_where_others_can_call(
        cls, given: AccessSection, info: ValidationInfo
    ) -> AccessSection:
        http: HttpSection | None = info.data.get("http")  # absent when itself at fault
        if http is not None and not is_loopback(http.host) and not given.configured:
            raise ValueError(
                f"http.host {http.host} can be reached from other machines, but no API keys are "
                "configured; set api_keys_file or api_keys_env here, or http.host 127.0.0.1"
            )
        return given

    @property
    def gpus_per_replica(self) -> float:
        """GPUs of one engine: as in the profile, else one per rank."""
        if self.engine.simulated:
            return 0.0
        said = self.engine.gpus_per_replica
        return float(_ranks(self.engine_args)) if said is None else said

    @property
    def time_scale(self) -> float:
        """Modelled seconds per real second; 1 with a real engine."""
        return self.simulation.speed if self.engine.simulated else 1.0

    def beside(self, folder: Path) -> "Profile":
        """The same profile with its relative paths taken from `folder`."""
        keys_file = self.access.api_keys_file
        access = {"api_keys_file": None if keys_file is None else folder / keys_file}
        telemetry = {
            name: str(folder / log)
            for name in ("access_log", "decision_log")
            if (log := getattr(self.telemetry, name)) not in (None, "-")
        }
        return self.model_copy(
            update={
                "access": self.access.model_copy(update=access),
                "telemetry": self.telemetry.model_copy(update=telemetry),
            }
        )


def load_profile(path: str | Path) -> Profile:
    """The profile in a YAML file, its relative paths taken from the file's own folder.

    Raises `ProfileError` with one line per problem: file, line, key, what would be valid.
    """
    file = read_yaml(Path(path))
    profile = _validated(Profile, file)
    return profile.beside(Path(path).resolve().parent)


def parse_profile(text: str, source: str) -> Profile:
    """As `load_profile`, for text that is already here; paths stay as they are written."""
    return _validated(Profile, parse_yaml(text, source))


def load_admission(path: str | Path) -> AdmissionSection:
    """An admission section in a YAML file of its own; raises `ProfileError`."""
    return _validated(AdmissionSection, read_yaml(Path(path)))


def parse_admission(mapping: object, source: str = "user_config") -> AdmissionSection:
    """An admission section from plain values; `source` names them in the `ProfileError`."""
    return _validated(AdmissionSection, YamlFile(source, mapping, {}))


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine can reach; names other than localhost are not."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _validated(model: type[_Model], file: YamlFile) -> _Model:
    if not isinstance(file.values, dict):
        known = ", ".join(model.model_fields)
        found = "is empty" if file.values is None else "holds no keys"
        raise ProfileError(f"{file.source}: {found}; expected a mapping with the keys {known}")
    try:
        return model.model_validate(file.values)
    except ValidationError as error:
        lines = {_renamed(model, path): line for path, line in file.lines.items()}
        raise profile_error(file.source, complaints(model, error), lines) from None


def _renamed(model: type[BaseModel] | None, path: tuple[str, ...]) -> tuple[str, ...]:
    """The path with today's names in place of old ones: complaints use today's."""
    if model is None or not path:
        return path
    name = getattr(model, "renamed", {}).get(path[0], path[0])
    field = model.model_fields.get(name)
    return (name, *_renamed(section_of(field) if field else None, path[1:]))


def _ranks(engine_args: dict[str, Any]) -> int:
    """Processes of one engine, each with a GPU; vLLM itself refuses sizes that are no numbers."""
    sizes = (engine_args.get(name, 1) for name in _PARALLEL_SIZES)
    return math.prod(size for size in sizes if isinstance(size, int))
