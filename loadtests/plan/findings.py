"""Everything one plan comes to, worked out once; what is shown reads from here."""

from collections.abc import Sequence
from dataclasses import dataclass

from admission.planning.advice import Advice, Choice, Kept, choices
from admission.planning.layouts import Layout, as_layout, best, nearest_fit, weights_name
from admission.planning.no_effect import ENGINE_SETTINGS, Idle, no_effect
from admission.planning.plan import Plan, PlannedLoad, Question, make_plan, over_context
from admission.planning.rule_of_thumb import RuleRow, rule_of_thumb
from admission.terms.settings import Settings
from loadtests.plan.flags import DEFAULT_THINK_S
from loadtests.plan.from_profile import FromProfile

_SAID_WITHOUT_PROFILE = frozenset({"kv_headroom_ratio"})  # of admission: the "threshold" of rules
_WORTH_ANOTHER_FORMAT = 1.1  # another checkpoint is worth a word only where it carries more


@dataclass(frozen=True, slots=True)
class Open:
    """What the question leaves to the plan: the split into engines, the format of the weights.

    `kept` are arguments that hold for every layout (see `admission.planning.advice`).
    """

    split: bool = False
    weights: bool = False
    kept: Kept = frozenset()


@dataclass(frozen=True, slots=True)
class Detail:
    """One deployment in full: its plan, longer requests, the rule of thumb, idle settings."""

    plan: Plan
    contexts: list[tuple[int, PlannedLoad]]
    rule: list[RuleRow]
    idle: tuple[Idle, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """The answer, best first.

    `led` is the best layout: of all formats where the format is open, else of the one asked for,
    unless only another fits. `own` is the best in the format asked for; `other` is the best in
    another format, where that carries clearly more. None = there is none.
    `asked` is the deployment asked about: with the split open it is `own`. `shown` is what is told
    in detail: `asked`, or with the split and the format open what is led with.
    `nearest` is None where `asked` fits as it is. `layouts` are all that were tried, each with its
    advised step and slots, and at the end what was asked about, where that has others. `named` is
    the layout of `asked` where its split was said: it gets a number of its own.
    """

    asked: Detail
    shown: Detail
    nearest: str | None
    layouts: list[Layout]
    led: Choice | None
    own: Choice | None
    other: Choice | None
    named: Layout | None
    think_s: float

    @property
    def plan(self) -> Plan:
        """The plan of the deployment asked about."""
        return self.asked.plan

    @property
    def chosen(self) -> Layout | None:
        """The layout that is led with."""
        return self.led.layout if self.led else None

    @property
    def advice(self) -> Advice | None:
        """Its settings."""
        return self.led.advice if self.led else None

    @property
    def answered(self) -> list[Layout]:
        """What the first sentence names, what is led with first and what was asked about second."""
        answered = [self.led.layout] if self.led else []
        rest = [self.named, *(x.layout for x in (self.own, self.other) if x)]
        for layout in rest:
            if layout is not None and layout not in answered:
                answered.append(layout)
        return answered


def find(
    question: Question,
    profile: FromProfile,
    left: Open | None = None,
    *,
    think_s: float = DEFAULT_THINK_S,
) -> Findings:
    """The findings; ValueError for arguments that no engine would take."""
    left = left or Open()
    found = choices(question, left.kept)
    own = _best([x for x in found if x.layout.asked])
    other = _other([x for x in found if not x.layout.asked], own)
    led = other or own if left.weights else own or other
    said = _said(profile, left)
    plan = own.plan if left.split and own and own.plan else make_plan(question)
    asked = _detail(plan, profile, said)
    shown = asked
    if left.split and led and led.plan and led is not own:
        shown = _detail(led.plan, profile, said)
    tried = [x.layout for x in found]
    named = next((x for x in tried if _same(x.plan, asked.plan)), None)
    if named is None:
        named = as_layout(asked.plan)
        tried.append(named)
    return Findings(
        asked=asked,
        shown=shown,
        nearest=nearest_fit(question) if asked.plan.misfit else None,
        layouts=tried,
        led=led,
        own=own,
        other=other,
        named=None if left.split or asked.plan.misfit else named,
        think_s=think_s,
    )


def _best(found: Sequence[Choice]) -> Choice | None:
    """The best that fits; None = nothing does."""
    chosen = best([x.layout for x in found])
    return next((x for x in found if x.layout is chosen), None)


def _other(found: Sequence[Choice], own: Choice | None) -> Choice | None:
    """The best in another format, where it carries clearly more than the best in the format asked.

    By requests a second; at once where the card's speed is unknown.
    """
    chosen = _best(found)
    if chosen is None or own is None:
        return chosen
    carried = zip(chosen.layout.merit[:2], own.layout.merit[:2], strict=True)
    more, less = next(((a, b) for a, b in carried if a or b), (0.0, 0.0))
    return chosen if more > less * _WORTH_ANOTHER_FORMAT else None


def _said(profile: FromProfile, left: Open) -> frozenset[str]:
    """Settings that somebody chose: what has no effect among others is nobody's mistake."""
    engine = left.kept if left.split else frozenset(ENGINE_SETTINGS)
    return engine | (profile.named if profile.settings else _SAID_WITHOUT_PROFILE)


def _detail(plan: Plan, profile: FromProfile, said: frozenset[str]) -> Detail:
    idle = no_effect(plan, profile.settings or Settings())
    return Detail(
        plan=plan,
        contexts=over_context(plan),
        rule=rule_of_thumb(plan),
        idle=tuple(x for x in idle if x.setting in said),
    )


def _same(one: Plan | None, other: Plan) -> bool:
    """Whether two plans are of the same engines: split, format, step and slots."""
    return one is not None and _engines(one) == _engines(other)


def _engines(plan: Plan) -> tuple[object, ...]:
    engine = plan.memory.engine
    sizes = (engine.tp, engine.pp, engine.max_batched_tokens, engine.max_sequences)
    return (*sizes, weights_name(plan.question))
