"""One request of a decision log: its content and its outcome."""

from dataclasses import dataclass

from admission.price.footprint import EngineShape
from admission.price.lengths import class_keys
from admission.terms.decision import Outcome, Priority
from admission.terms.settings import Mode
from admission.terms.shadow import in_time

_WHOLE = ("stop", "length")  # finish reasons of complete answers


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was known when the request was offered. Tokens are sums over its prompts.

    `replica` names one start of one engine, and `at_s` is that engine's clock; `day_s` is wall
    time.
    """

    request_id: str
    replica: str
    at_s: float
    day_s: float
    tenant: str
    priority: Priority
    prompt_tokens: int
    cached_tokens: int
    prompts: int
    sequences: int
    max_tokens: int
    known_length: bool
    predicted_tokens: int  # median prediction, over all answers
    deadline_s: float
    tpot_target_s: float | None
    config_hash: str
    mode: Mode | None
    engine: EngineShape | None

    @property
    def traffic_class(self) -> str:
        """The traffic class by which lengths are learned, as the log spells it."""
        return "/".join(str(part) for part in self.class_keys[0])

    @property
    def class_keys(self) -> tuple[tuple[str | int, ...], ...]:
        """The keys of its class and of the wider ones, from one of its prompts."""
        prompts = self.prompts
        return class_keys(self.tenant, self.prompt_tokens // prompts, self.max_tokens // prompts)


@dataclass(frozen=True, slots=True)
class LoggedEnd:
    """The outcome of a request. In mode shadow `first` and `reason` are hypothetical.

    `first` is the decision on arrival, `reason` that of a refusal then or later. `finish` None = no
    known end. Seconds count from arrival; TPOT is per token after the first.
    """

    first: Outcome
    reason: str | None = None
    waited_s: float = 0.0
    ttft_s: float | None = None
    tpot_s: float | None = None
    output_tokens: int | None = None
    finish: str | None = None
    preemptions: int = 0

    @property
    def whole(self) -> bool:
        """Whether its answer was complete."""
        return self.finish in _WHOLE

    @property
    def left(self) -> bool:
        """Whether its client left, from the queue or during the answer."""
        return self.finish is not None and not self.whole

    @property
    def refused(self) -> bool:
        """Whether it was really refused; mode shadow refuses none."""
        return self.reason is not None and self.finish is None

    @property
    def settled(self) -> bool:
        """Whether its end shows how it was served."""
        return self.refused or self.whole


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request of a log with its logged outcome."""

    asked: Replayed
    fate: LoggedEnd

    def in_slo(self, fate: LoggedEnd) -> bool:
        """Whether the outcome `fate` would be complete and in time for this request."""
        asked = self.asked
        return fate.whole and in_time(
            fate.ttft_s,
            fate.tpot_s,
            deadline_s=asked.deadline_s,
            tpot_target_s=asked.tpot_target_s,
        )
