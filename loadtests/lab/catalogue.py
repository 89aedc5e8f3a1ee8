"""The policies by name: the settings that are tried for each, and how it is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from admission.price.footprint import EngineShape
from admission.speed.linear_steps import StepCoefficients
from admission.terms.settings import Mode, Policy, Settings
from loadtests.lab.playing.door import Bounds, Door
from loadtests.lab.playing.fifo import Fifo, Limiter
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.policies.adaptive import Aimd, Gradient2
from loadtests.lab.policies.altered import Mistaken, Patient
from loadtests.lab.policies.ema import Ema
from loadtests.lab.policies.kv_threshold import KvThreshold
from loadtests.lab.policies.no_limit import NoLimit
from loadtests.lab.policies.queued_tokens import QueuedTokens

STATIC_LIMITS = (4, 8, 16, 32, 48, 64, 96, 128, 192)
QUEUED_TOKENS = (2048, 4096, 8192)
NOISE = (0.25, 0.5, 1.0)  # sigma of the log-normal error factor on lengths
_ENDLESS = 1000  # multiple of the cache that never binds
_NO_BOUND_S = 1e6


@dataclass(frozen=True, slots=True)
class Variant:
    """One policy with one setting: `n`, the policy's own number, if it has one.

    `queued_tokens` without a number uses the tokens that the engine computes in the TTFT bound.
    """

    policy: str
    n: int | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The inputs of a policy; none of them depends on the trace's output lengths."""

    shape: EngineShape
    settings: Settings
    bounds: Bounds
    line: StepCoefficients  # the engine's step times, as a linear form
    prefill_tokens_per_s: float  # with only prompts to compute


def named(policies: str) -> list[str]:
    """The names in a comma-separated list; ValueError if it is empty."""
    names = [name.strip() for name in policies.split(",") if name.strip()]
    if not names:
        raise ValueError("policies: none is named")
    return names


def variants_of(policy: str, *, static_n: int) -> tuple[Variant, ...]:
    """The variants played for one row, of which the best counts; ValueError for unknown names."""
    if policy == "static":
        return tuple(Variant(policy, limit) for limit in STATIC_LIMITS)
    if policy == "static_one":
        return (Variant(policy, static_n),)
    if policy == "queued_tokens":
        return (*(Variant(policy, tokens) for tokens in QUEUED_TOKENS), Variant(policy))
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r}; there are {', '.join(POLICIES)}")
    return (Variant(policy),)


def door_of(variant: Variant, facts: EngineFacts) -> Door:
    """A new policy object for one run."""
    return _MAKERS[variant.policy](variant, facts)


def _controller(**changes: object) -> Callable[[Variant, EngineFacts], Door]:
    """A maker of one of the gateway's own policies; `changes` are settings."""

    def make(variant: Variant, facts: EngineFacts) -> Door:
        limit = facts.settings.static_limit if variant.n is None else variant.n
        settings = _ours(facts, static_limit=limit, **changes)
        return OurGateway(facts.shape, settings, facts.bounds, line=facts.line)

    return make


def _ours(facts: EngineFacts, **changes: object) -> Settings:
    changes = {"mode": Mode.ENFORCE, "policy": Policy.FOOTPRINT} | changes
    return replace(facts.settings, **changes)  # type: ignore[arg-type]


def _knowing(_: Variant, facts: EngineFacts) -> Door:
    return OurGateway(facts.shape, _ours(facts), facts.bounds, line=facts.line, knows_lengths=True)


def _mistaken(sigma: float) -> Callable[[Variant, EngineFacts], Door]:
    return lambda variant, facts: Mistaken(_knowing(variant, facts), sigma)


def _no_kv_gate(_: Variant, facts: EngineFacts) -> Door:
    """The ledger assumes a cache so large that it never binds; the engine's is unchanged."""
    shape = replace(facts.shape, usable_blocks=facts.shape.usable_blocks * _ENDLESS)
    return OurGateway(shape, _ours(facts), facts.bounds, line=facts.line)


def _no_ttft_gate(_: Variant, facts: EngineFacts) -> Door:
    return Patient(facts.shape, _ours(facts), facts.bounds, line=facts.line)


def _no_tpot_gate(_: Variant, facts: EngineFacts) -> Door:
    bounds = replace(facts.bounds, tpot_s=_NO_BOUND_S)
    return OurGateway(facts.shape, _ours(facts), bounds, line=facts.line)


def _queued_tokens(variant: Variant, facts: EngineFacts) -> Door:
    within_bound = int(facts.bounds.ttft_s * facts.prefill_tokens_per_s)
    return Fifo(QueuedTokens(variant.n or within_bound), patience_s=0.0)


def _line(make: Callable[[EngineFacts], Limiter]) -> Callable[[Variant, EngineFacts], Door]:
    """A maker of a FIFO queue; requests may wait until the first token is due, as in ours."""
    return lambda _, facts: Fifo(make(facts), patience_s=facts.bounds.ttft_s)


def _kv_threshold(facts: EngineFacts) -> Limiter:
    return KvThreshold(prefill_tokens=facts.settings.prefill_backlog_max_tokens)


def _ema(facts: EngineFacts) -> Limiter:
    return Ema(
        capacity_tokens=facts.shape.capacity_tokens,
        prefill_tokens=facts.settings.prefill_backlog_max_tokens,
    )


_MAKERS: Mapping[str, Callable[[Variant, EngineFacts], Door]] = {
    "footprint": _controller(policy=Policy.FOOTPRINT),
    "off": lambda *_: Fifo(NoLimit(), patience_s=0.0),
    "static": _controller(policy=Policy.STATIC),
    "static_one": _controller(policy=Policy.STATIC),
    "worst_case": _controller(policy=Policy.WORST_CASE),
    "queued_tokens": _queued_tokens,
    "kv_threshold": _line(_kv_threshold),
    "aimd": _line(lambda facts: Aimd(facts.bounds)),
    "gradient2": _line(lambda _: Gradient2()),
    "ema": _line(_ema),
    "no_kv_gate": _no_kv_gate,
    "no_ttft_gate": _no_ttft_gate,
    "no_tpot_gate": _no_tpot_gate,
    "no_look_past": _controller(policy=Policy.FOOTPRINT, queue_look_past_requests=0),
    "no_cost_order": _controller(policy=Policy.FOOTPRINT, queue_cost_weight=0.0),
    "oracle_a": _knowing,  # the same policy with true lengths: the price of predicting
    **{f"oracle_a_noise_{sigma:g}": _mistaken(sigma) for sigma in NOISE},
}
POLICIES = tuple(_MAKERS)
ABLATIONS = ("no_kv_gate", "no_ttft_gate", "no_tpot_gate", "no_look_past", "no_cost_order")
NOISY = tuple(f"oracle_a_noise_{sigma:g}" for sigma in NOISE)
