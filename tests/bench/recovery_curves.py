"""A gateway in the lab whose beliefs are written down, and the curves they make."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import NamedTuple

from admission.speed.linear_steps import StepCoefficients
from admission.speed.live_steps import LiveSteps
from admission.speed.step_fit import TimedStep
from admission.terms.settings import Mode, Policy
from loadtests.lab.catalogue import EngineFacts
from loadtests.lab.playing.door import Bounds, Ruling
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.outcome import PlayedOutcome
from serve.engine_step import EngineStep

WINDOW_S = 30.0
_LOOK_S = 2.0  # beliefs are told by their median over so long
_STAYS = 5  # looks
_CLOSE_RATIO = 0.1  # a step's time is known when it is believed to be within this


@dataclass(frozen=True, slots=True)
class Arm:
    """One gateway: what of a step's true time it is told, whether it learns, what it knows."""

    name: str
    told: float = 1.0
    learns: bool = True
    knows: bool = False


class Belief(NamedTuple):
    """At the end of one step: what it was believed to take / what it took, and what followed."""

    at_s: float
    step_ratio: float
    preempted: int
    promised_ratio: float
    covered_ratio: float | None


class _Deaf(LiveSteps):
    def observe(self, _: TimedStep) -> bool:
        return False


class Watched(OurGateway):
    """The gateway's own admission, asked before every step what it will take."""

    def __init__(self, facts: EngineFacts, arm: Arm) -> None:
        settings = replace(facts.settings, mode=Mode.ENFORCE, policy=Policy.FOOTPRINT)
        super().__init__(facts.shape, settings, facts.bounds, knows_lengths=arm.knows)
        if not arm.learns:
            self.controller.speed.steps = _Deaf()
        line = {name: arm.told * value for name, value in asdict(facts.line).items()}
        self.controller.know_step_times(StepCoefficients(**line))
        self.beliefs: list[Belief] = []

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """As the gateway's."""
        controller = self.controller
        line, held_blocks = controller.speed.coefficients, controller.ledger.held_blocks
        told = super().stepped(step, now_s)
        if line is not None and step.elapsed_s > 0:
            believed_s = line.seconds(
                prefill_tokens=step.prefill_tokens,
                decode_sequences=step.decode_tokens,
                context_tokens=held_blocks * controller.engine.block_tokens,
            )
            self.beliefs.append(
                Belief(
                    now_s,
                    believed_s / step.elapsed_s,
                    step.preempted,
                    controller.margin.promised_ratio,
                    controller.coverage.price.ratio,
                )
            )
        return told


class Curves(NamedTuple):
    """One run over time: (instant, value) points; windows are named by their end."""

    arm: Arm
    step_ratio: list[tuple[float, float]]
    goodput_per_s: list[tuple[float, float]]
    promised: list[tuple[float, float]]
    covered: list[tuple[float, float]]
    arrivals: list[tuple[float, bool]]  # instant, whether it was served in time
    preemptions: int

    def good_until(self, until_s: float = float("inf")) -> int:
        """Arrivals before `until_s` that were served in time."""
        return sum(good for at_s, good in self.arrivals if at_s < until_s)

    def offered_until(self, until_s: float = float("inf")) -> int:
        """Arrivals before `until_s`."""
        return sum(at_s < until_s for at_s, _ in self.arrivals)


def curves(
    arm: Arm, beliefs: Sequence[Belief], outcomes: Iterable[PlayedOutcome], bounds: Bounds
) -> Curves:
    """What was written down, over windows of time."""
    arrivals = [(each.request.arrived_at_s, each.good(bounds)) for each in outcomes]
    last_s = arrivals[-1][0]
    seen = [each for each in beliefs if each.at_s <= last_s]
    looks = _windows(seen, _LOOK_S)
    ends = [WINDOW_S * (1 + place) for place in range(int(last_s // WINDOW_S))]
    return Curves(
        arm,
        [(at_s, median(each.step_ratio for each in some)) for at_s, some in looks],
        [
            (end, sum(good for at_s, good in arrivals if end - WINDOW_S <= at_s < end) / WINDOW_S)
            for end in ends
        ],
        [(at_s, some[-1].promised_ratio) for at_s, some in looks],
        [(at_s, some[-1].covered_ratio) for at_s, some in looks if some[-1].covered_ratio],
        arrivals,
        sum(each.preempted for each in seen),
    )


def _windows(beliefs: Sequence[Belief], seconds: float) -> list[tuple[float, list[Belief]]]:
    found: dict[int, list[Belief]] = {}
    for each in beliefs:
        found.setdefault(int(each.at_s // seconds), []).append(each)
    return [(seconds * (1 + place), found[place]) for place in sorted(found)]


def recovered_s(run: Curves) -> float | None:
    """When the believed step times came within a tenth of the real ones, for ten seconds at least.

    None: never.
    """
    row = 0
    for at_s, ratio in run.step_ratio:
        row = row + 1 if abs(ratio - 1) <= _CLOSE_RATIO else 0
        if row == _STAYS:
            return at_s - _STAYS * _LOOK_S
    return None
