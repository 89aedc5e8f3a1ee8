"""Everything one plan comes to, worked out once; what is shown reads from here."""

from dataclasses import dataclass

from admission.advice import Advice, advise
from admission.layouts import Layout, best, layouts, nearest_fit
from admission.no_effect import ENGINE_SETTINGS, Idle, no_effect
from admission.plan import Load, Plan, Question, make_plan, over_context
from admission.rule_of_thumb import Line, rule_of_thumb
from admission.settings import Settings
from serve.plan.from_profile import FromProfile

_SAID_WITHOUT_PROFILE = frozenset({"kv_headroom_ratio"})  # of admission: the "threshold" of rules


@dataclass(frozen=True, slots=True)
class Findings:
    """`chosen` and `advice` are None where nothing fits, `nearest` where it fits as it is."""

    plan: Plan
    nearest: str | None
    contexts: list[tuple[int, Load]]
    layouts: list[Layout]
    chosen: Layout | None
    advice: Advice | None
    rule: list[Line]
    idle: tuple[Idle, ...]


def find(question: Question, profile: FromProfile) -> Findings:
    """The findings; ValueError for arguments that no engine would take."""
    plan = make_plan(question)
    found = layouts(question)
    chosen = best(found)
    named = frozenset(ENGINE_SETTINGS) | (
        profile.named if profile.settings else _SAID_WITHOUT_PROFILE
    )
    idle = no_effect(plan, profile.settings or Settings())
    return Findings(
        plan=plan,
        nearest=nearest_fit(question) if plan.misfit else None,
        contexts=over_context(plan),
        layouts=found,
        chosen=chosen,
        advice=advise(chosen.plan) if chosen and chosen.plan else None,
        rule=rule_of_thumb(plan),
        idle=tuple(x for x in idle if x.setting in named),
    )
