"""The validated lines of a decision log, as `serve.gate.decision_log` writes them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from admission.price.footprint import EngineShape
from admission.terms.decision import Outcome, Priority
from admission.terms.settings import Mode

VERSION = 1


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    id: str
    replica: str = ""  # lines from before replicas were named have none


class Predicted(BaseModel):
    """Predicted tokens of all answers: the median, and the quantile used for the price."""

    q50: int
    q90: int


class DecisionLine(_Line):
    """One decision. The last four keys are missing in the oldest logs of this version."""

    at: float
    mono_s: float
    tenant: str
    priority: Priority
    prompt_tokens: int
    cached_tokens: int
    sequences: int
    max_tokens: int
    known_length: bool
    deadline_s: float
    predicted: Predicted
    outcome: Literal[Outcome.ACCEPTED, Outcome.QUEUED, Outcome.REJECTED]
    reason: str | None
    config_hash: str
    prompts: int = 1
    tpot_target_s: float | None = None
    mode: Mode | None = None
    engine: EngineShape | None = None


class EndLine(_Line):
    """How an accepted request ended, or that its client left the queue."""

    waited_s: float
    ttft_s: float | None
    tpot_s: float | None
    output_tokens: int | None
    finish: str | None
    preemptions: int


class BrokenLineError(ValueError):
    """An incomplete line: its writer was stopped, or two wrote at once."""


def read_lines(path: Path) -> Iterable[str]:
    """The lines of a log; ValueError if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as problem:
        raise ValueError(f"{path}: {problem.strerror}") from problem


def parse(text: str) -> DecisionLine | EndLine:
    """One line; BrokenLineError if it is not a JSON object, ValueError if it is not our format."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise BrokenLineError("not a whole JSON object")
    return checked(given)


def checked(given: Mapping[str, Any]) -> DecisionLine | EndLine:
    """A record as its model; ValueError names what it lacks."""
    version = given.get("v")
    if version != VERSION:
        told = "no version" if version is None else f"version {version!r}"
        raise ValueError(f"{told}; this lab reads decision logs of version {VERSION}")
    kind = DecisionLine if "outcome" in given else EndLine
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"no line of a decision log: {key}: {first['msg']}") from None
