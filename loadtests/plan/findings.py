"""All results of one plan, computed once; every output format reads them from here."""

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

_SAID_WITHOUT_PROFILE = frozenset({"kv_headroom_ratio"})  # the "threshold" of common rules
_WORTH_ANOTHER_FORMAT = 1.1  # another checkpoint is mentioned only if it carries more


@dataclass(frozen=True, slots=True)
class Open:
    """What the question leaves open: the split into engines, the format of the weights.

    `kept` are arguments that apply to every layout (see `admission.planning.advice`).
    """

    split: bool = False
    weights: bool = False
    kept: Kept = frozenset()


@dataclass(frozen=True, slots=True)
class Detail:
    """All about one deployment: its plan, longer requests, the rule of thumb, idle settings."""

    plan: Plan
    contexts: list[tuple[int, PlannedLoad]]
    rule: list[RuleRow]
    idle: tuple[Idle, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of one question.

    `led`: the best layout, which the output leads with; of all formats if the format is open, else
    of the question's, unless only another fits. `own`: the best in the question's format. `other`:
    the best in another format if it carries clearly more. None = there is none.
    `asked`: the question's deployment; if the split is open, `own`. `shown`: the deployment that is
    shown in detail; `asked`, or `led` if split and format are both open.
    `nearest`: None if `asked` fits as it is. `layouts`: all that were tried, each with its
    recommended step and slots, and last the question's if it has others. `named`: the layout of
    `asked` if its split was given; it gets its own number.
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
        """The plan of the question's deployment."""
        return self.asked.plan

    @property
    def chosen(self) -> Layout | None:
        """The layout that the output leads with; None = none fits."""
        return self.led.layout if self.led else None

    @property
    def advice(self) -> Advice | None:
        """The recommended settings of `chosen`."""
        return self.led.advice if self.led else None

    @property
    def answered(self) -> list[Layout]:
        """The layouts of the first sentence: the best first, the question's second."""
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
    """The findings; ValueError for arguments that no engine accepts."""
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
    """The best that fits; None = nothing fits."""
    chosen = best([x.layout for x in found])
    return next((x for x in found if x.layout is chosen), None)


def _other(found: Sequence[Choice], own: Choice | None) -> Choice | None:
    """The best in another format if it carries clearly more than `own`.

    The measure is requests a second, or requests at once if the card's speed is unknown.
    """
    chosen = _best(found)
    if chosen is None or own is None:
        return chosen
    carried = zip(chosen.layout.merit[:2], own.layout.merit[:2], strict=True)
    more, less = next(((a, b) for a, b in carried if a or b), (0.0, 0.0))
    return chosen if more > less * _WORTH_ANOTHER_FORMAT else None


def _said(profile: FromProfile, left: Open) -> frozenset[str]:
    """Settings that the user chose; idle defaults are not reported."""
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
    """Whether two plans have the same engines: split, format, step and slots."""
    return one is not None and _engines(one) == _engines(other)


def _engines(plan: Plan) -> tuple[object, ...]:
    engine = plan.memory.engine
    sizes = (engine.tp, engine.pp, engine.max_batched_tokens, engine.max_sequences)
    return (*sizes, weights_name(plan.question))
