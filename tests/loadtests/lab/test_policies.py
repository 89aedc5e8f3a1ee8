"""The baselines' arithmetic."""

import random
from types import SimpleNamespace

from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.fifo import Inside
from loadtests.lab.policies.adaptive import Aimd, Gradient2
from loadtests.lab.policies.ema import Ema, peak_tokens
from loadtests.lab.policies.kv_threshold import KvThreshold
from loadtests.lab.policies.queued_tokens import QueuedTokens
from serve.engine_step import EngineStep, Finished
from tests.loadtests.lab.lab_cases import asked


def step(
    *finished: Finished, elapsed_s: float = 0.1, used: float = 0.0, **running: int
) -> EngineStep:
    states = {
        key: SimpleNamespace(
            external_req_id=key[1:], stats=SimpleNamespace(num_generation_tokens=tokens)
        )
        for key, tokens in running.items()
    }
    return EngineStep(
        running=states,  # type: ignore[arg-type]
        finished=finished,
        decode_tokens=1,
        elapsed_s=elapsed_s,
        kv_used_ratio=used,
    )


def ended(number: int, *, tpot_s: float = 0.1, tokens: int = 10) -> Finished:
    return Finished(str(number), tokens, "stop", 0.0, 0.5, tpot_s, 0)


def full(count: int) -> Inside:
    inside = Inside()
    for number in range(count):
        inside.let_in(asked(number, 0.0))
    return inside


def brute_peak(requests: list[tuple[int, int]]) -> int:
    last = max(remaining for _, remaining in requests)
    return max(
        sum(held + at for held, remaining in requests if remaining >= at)
        for at in range(1, last + 1)
    )


def test_the_peak_is_that_of_every_future_step() -> None:
    rng = random.Random(5)
    for _ in range(200):
        requests = [(rng.randrange(50), rng.randrange(1, 30)) for _ in range(rng.randrange(1, 9))]
        assert peak_tokens(requests) == brute_peak(requests)


def test_prompts_count_as_to_compute_until_their_first_token() -> None:
    inside = full(3)
    assert inside.prompt_tokens_to_compute == 96
    inside.note(step(r0=1, r1=0))
    assert inside.prompt_tokens_to_compute == 64
    inside.note(step(ended(1), r0=2))
    assert inside.prompt_tokens_to_compute == 32
    assert set(inside.requests) == {"0", "2"}


def test_queued_tokens_does_not_count_the_newcomer() -> None:
    limiter = QueuedTokens(64)
    assert limiter.fits(asked(9, 0.0, prompt=1000), full(1))
    assert not limiter.fits(asked(9, 0.0, prompt=1), full(2))


def test_the_kv_threshold_goes_by_the_last_step() -> None:
    limiter, inside = KvThreshold(prefill_tokens=100), Inside()
    inside.note(step(used=0.84))
    assert limiter.fits(asked(0, 0.0, prompt=500), inside), "nothing else is being computed"
    inside.let_in(asked(0, 0.0, prompt=80))
    assert not limiter.fits(asked(1, 0.0, prompt=21), inside)
    inside.note(step(used=0.85))
    assert not limiter.fits(asked(1, 0.0, prompt=1), inside)


def test_aimd_grows_by_one_and_shrinks_once_per_generation() -> None:
    aimd = Aimd(Bounds(1.0, 0.2))
    inside = full(20)
    aimd.note(step(ended(0)), inside)
    assert aimd.limit == 21
    aimd.note(step(ended(1, tpot_s=0.3), ended(2, tpot_s=0.3)), inside)
    assert aimd.limit == 21 * 0.9
    assert not aimd.fits(asked(99, 0.0), inside)


def test_aimd_does_not_grow_while_half_its_places_are_free() -> None:
    aimd = Aimd(Bounds(1.0, 0.2))
    aimd.note(step(ended(0)), full(5))
    assert aimd.limit == 20


def test_gradient2_shrinks_when_tokens_take_longer_than_they_used_to() -> None:
    gradient, inside = Gradient2(), full(30)
    for _ in range(50):
        gradient.note(step(elapsed_s=0.1), inside)
    grown = gradient.limit
    assert grown > 20
    for _ in range(10):
        gradient.note(step(elapsed_s=0.5), full(60))
    assert gradient.limit < grown


def test_the_moving_average_begins_long_and_comes_down_fast() -> None:
    ema, inside = Ema(capacity_tokens=2000, prefill_tokens=10_000), full(1)
    newcomer = asked(9, 0.0, output=4)  # its limit is 64
    assert ema.fits(newcomer, inside)
    tight = Ema(capacity_tokens=191, prefill_tokens=10_000)
    assert not tight.fits(newcomer, inside), "two prompts of 32 and twice 64 tokens"
    for number in range(20):
        tight.note(step(ended(number, tokens=1)), inside)
    assert not tight.fits(newcomer, inside), "no answer counts as less than 64"
    assert Ema(capacity_tokens=1, prefill_tokens=1).fits(newcomer, Inside()), "an idle engine"
