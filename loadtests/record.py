"""What became of one request: one line of JSON in a run's file, and no text but an error's.

All times are modelled seconds. Instants count from the beginning of the run. A file begins with a
line of `type` `run` (what was asked for) and ends with one of `type` `client` (could the client
keep up?); the lines between have `type` `request`, or `sample`: what the endpoint's metrics said.
The file of a search ends with one of `type` `limit`: what it came to.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

VERSION = 1
_DIGITS = 6  # a microsecond


class Outcome(StrEnum):
    """How a request ended, as its user saw it."""

    ANSWERED = "answered"  # 200 and complete
    REFUSED = "refused"  # 429, 503 or 400, and no more patience or retries
    TIMED_OUT = "timed_out"  # patience ended before the first token
    CANCELLED = "cancelled"  # hung up in the middle, of their own will
    FAILED = "failed"  # anything else: connection lost, stream cut, error inside, 500


@dataclass(frozen=True, slots=True)
class Record:
    """One wish of one user, all attempts together.

    `ttft_s` and `e2e_s` count from `intended_at_s`, so they hold what the user felt: a client that
    was late (`lag_s`), time in the gateway's line (`queued_s`, of the last attempt), refusals and
    the waits before coming back (`waited_s`). `tpot_s` is (last - first token) / (tokens - 1),
    None for answers of one token, or in one event. `itl_*` are of the gaps between events with
    tokens.
    """

    id: str
    kind: str  # the scenario's name, or of its part
    outcome: Outcome
    intended_at_s: float
    lag_s: float
    e2e_s: float
    ttft_s: float | None = None
    tpot_s: float | None = None
    itl_p50_s: float | None = None
    itl_p95_s: float | None = None
    itl_max_s: float | None = None
    queued_s: float | None = None
    retries: int = 0
    waited_s: float = 0.0
    status: int = 0  # of the last attempt; 0 = no answer
    reason: str | None = None
    retry_after_s: float | None = None  # what the last refusal told
    finish: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int = 0
    asked_prompt_tokens: int = 0
    asked_output_tokens: int = 0
    tenant: str | None = None
    events: int = 0  # that brought tokens
    estimated: bool = False  # no usage came: output_tokens are those events
    streamed: bool = True  # False: the answer came whole, at the instant of its first token
    said: str | None = None  # the server's words for `reason`, one line
    prompt_line: int | None = None  # of a file of prompts
    repeat: bool = False  # the same prompt was asked before in this run
    turn: int = 1  # of its conversation
    stage: str | None = None  # of a search or shape, e.g. the number of users

    @property
    def ended_at_s(self) -> float:
        """Seconds from the beginning of the run."""
        return self.intended_at_s + self.e2e_s

    def line(self) -> str:
        """As a line of the file, without its end."""
        values = {name: _rounded(value) for name, value in asdict(self).items()}
        return _as_json({"type": "request"} | values)


def _rounded(value: object) -> object:
    return round(value, _DIGITS) if isinstance(value, float) else value


def _as_json(values: Mapping[str, Any]) -> str:
    """One line. JSON has no infinity: an endless patience is null."""
    finite = {name: None if value == math.inf else value for name, value in values.items()}
    return json.dumps({"v": VERSION} | finite, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the endpoint's metrics. None = it has no such metric; counters as they stood.

    Tokens and requests are those of the gateway's ledger and line, `running` and `waiting` those
    inside the engine. `decisions` counts by outcome; who waits counts as queued and again later.
    """

    at_s: float
    kv_capacity_tokens: float | None = None
    kv_held_tokens: float | None = None
    kv_peak_tokens: float | None = None  # most that the present leases will hold
    kv_used_ratio: float | None = None  # 0-1, as the engine counts
    queued: float | None = None
    running: float | None = None
    waiting: float | None = None
    preemptions: float | None = None
    decisions: Mapping[str, int] = field(default_factory=dict)

    def line(self) -> str:
        """As a line of the file, without its end."""
        values = {name: _rounded(value) for name, value in asdict(self).items()}
        return _as_json({"type": "sample"} | values)


class RecordFile:
    """Writes a run's file; every line is whole on disk before the next begins."""

    def __init__(self, file: TextIO, run: Mapping[str, Any]) -> None:
        self._file = file
        self._write(_as_json({"type": "run"} | dict(run)))

    def add(self, record: Record) -> None:
        """One more request."""
        self._write(record.line())

    def sample(self, sample: Sample) -> None:
        """One more look at the endpoint."""
        self._write(sample.line())

    def limit(self, found: Mapping[str, Any]) -> None:
        """What a search came to."""
        self._write(_as_json({"type": "limit"} | dict(found)))

    def end(self, client: Mapping[str, Any]) -> None:
        """The last line: how the client itself did."""
        self._write(_as_json({"type": "client"} | dict(client)))

    def close(self) -> None:
        """No more lines."""
        self._file.close()

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A file as it was read; `client` is empty where the run was cut off.

    `limit` is what `sluice limit --json` prints, empty where the run is no search.
    """

    about: Mapping[str, Any]
    records: tuple[Record, ...]
    client: Mapping[str, Any]
    samples: tuple[Sample, ...] = ()
    limit: Mapping[str, Any] = field(default_factory=dict)


def read_run(path: Path) -> RunRecord:
    """The run of a file; ValueError names the line that is not one of ours."""
    last: dict[str, Mapping[str, Any]] = {}  # line of each type that there is one of
    records, samples = [], []
    for place, line in _lines(path):
        kind = line.pop("type", None)
        if line.pop("v", None) != VERSION:
            raise ValueError(f"{place}: not version {VERSION} of a run's file")
        if kind == "request":
            records.append(Record(**_known(line, Record) | {"outcome": Outcome(line["outcome"])}))
        elif kind == "sample":
            samples.append(Sample(**_known(line, Sample)))
        elif kind is not None:
            last[kind] = line
    about, client, limit = (last.get(kind, {}) for kind in ("run", "client", "limit"))
    return RunRecord(about, tuple(records), client, tuple(samples), limit)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            place = f"{path}:{number}"
            try:
                line = json.loads(text)
            except ValueError as problem:
                raise ValueError(f"{place}: not JSON: {problem}") from problem
            if not isinstance(line, dict):
                raise ValueError(f"{place}: not a JSON object")
            yield place, line


def _known(line: Mapping[str, Any], kind: type[Record | Sample]) -> dict[str, Any]:
    """Fields that a later minor addition brought are passed over."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in line.items() if name in names}
