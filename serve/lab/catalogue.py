"""The policies by name, the settings of each that are tried, and how each is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from admission.footprint import EngineShape
from admission.settings import Mode, Policy, Settings
from admission.step_line import StepCoefficients
from serve.lab.door import Bounds, Door
from serve.lab.gateway import Gateway
from serve.lab.line import Limiter, Line
from serve.lab.policies.adaptive import Aimd, Gradient2
from serve.lab.policies.ema import Ema
from serve.lab.policies.kv_threshold import KvThreshold
from serve.lab.policies.queued_tokens import QueuedTokens

STATIC_LIMITS = (16, 32, 48, 64, 96, 128, 192)
QUEUED_TOKENS = (2048, 4096, 8192)


@dataclass(frozen=True, slots=True)
class Variant:
    """One policy with one setting: `n`, its own number, where it has one.

    A `queued_tokens` without a number takes what the engine computes within the TTFT bound.
    """

    policy: str
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a policy may be made from: never a length that the trace knows."""

    shape: EngineShape
    settings: Settings
    bounds: Bounds
    line: StepCoefficients  # the engine's step times, as a linear form
    prefill_tokens_per_s: float  # of an engine that only computes prompts


def variants_of(policy: str, *, static_n: int) -> tuple[Variant, ...]:
    """What is played for one row; of several the best counts. ValueError for an unknown name."""
    if policy == "static":
        return tuple(Variant(policy, limit) for limit in STATIC_LIMITS)
    if policy == "static_one":
        return (Variant(policy, static_n),)
    if policy == "queued_tokens":
        return (*(Variant(policy, tokens) for tokens in QUEUED_TOKENS), Variant(policy))
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r}; there are {', '.join(POLICIES)}")
    return (Variant(policy),)


def door_of(variant: Variant, facts: Facts) -> Door:
    """A fresh policy for one run."""
    return _MAKERS[variant.policy](variant, facts)


def _controller(**changes: object) -> Callable[[Variant, Facts], Door]:
    def make(variant: Variant, facts: Facts) -> Door:
        limit = facts.settings.static_limit if variant.n is None else variant.n
        settings = replace(facts.settings, mode=Mode.ENFORCE, static_limit=limit)
        settings = replace(settings, **changes)  # type: ignore[arg-type]
        return Gateway(facts.shape, settings, facts.bounds, line=facts.line)

    return make


def _knowing(_: Variant, facts: Facts) -> Door:
    settings = replace(facts.settings, mode=Mode.ENFORCE, policy=Policy.FOOTPRINT)
    return Gateway(facts.shape, settings, facts.bounds, line=facts.line, knows_lengths=True)


def _queued_tokens(variant: Variant, facts: Facts) -> Door:
    within_bound = int(facts.bounds.ttft_s * facts.prefill_tokens_per_s)
    return Line(QueuedTokens(variant.n or within_bound), patience_s=0.0)


def _line(make: Callable[[Facts], Limiter]) -> Callable[[Variant, Facts], Door]:
    """Every one of them waits as long as ours lets wait: until the first token is due."""
    return lambda _, facts: Line(make(facts), patience_s=facts.bounds.ttft_s)


def _kv_threshold(facts: Facts) -> Limiter:
    return KvThreshold(prefill_tokens=facts.settings.prefill_backlog_max_tokens)


def _ema(facts: Facts) -> Limiter:
    return Ema(
        capacity_tokens=facts.shape.capacity_tokens,
        prefill_tokens=facts.settings.prefill_backlog_max_tokens,
    )


_MAKERS: Mapping[str, Callable[[Variant, Facts], Door]] = {
    "footprint": _controller(policy=Policy.FOOTPRINT),
    "off": _controller(mode=Mode.OFF),
    "static": _controller(policy=Policy.STATIC),
    "static_one": _controller(policy=Policy.STATIC),
    "worst_case": _controller(policy=Policy.WORST_CASE),
    "queued_tokens": _queued_tokens,
    "kv_threshold": _line(_kv_threshold),
    "aimd": _line(lambda facts: Aimd(facts.bounds)),
    "gradient2": _line(lambda _: Gradient2()),
    "ema": _line(_ema),
    "oracle_a": _knowing,  # the same policy with true lengths: the price of predicting
}
POLICIES = tuple(_MAKERS)
