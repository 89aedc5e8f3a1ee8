"""Many clients at once on the real engine, its KV cache small so that the pressure is real.

The whole module runs on one gateway: 4,096 KV tokens, ten of the mean request.
"""

import asyncio
import sys

import pytest

from tests.live.ask import metric, nothing_held, state_of
from tests.live.conftest import OneAtATime
from tests.live.gateway import Gateway, wait_until
from tests.live.storm import Outcome, Shot, fire, mixed_shots, tally

MODEL = "smollm2-135m-instruct"
CLIENTS = 200
SMALL_CACHE = {
    "max_model_len": 2048,
    "block_size": 32,
    "kv_cache_memory_bytes": 95_109_120,  # 129 blocks x 32 tokens x 23,040 bytes
    "max_num_batched_tokens": 1024,
}
TTFT_MS = 60_000  # who cannot have its first token by then is refused: that bounds the test
GONE_S = 2.0


@pytest.fixture
def pressed(gateway_of: OneAtATime) -> Gateway:
    """The small model with a small cache."""
    return gateway_of(engine_args=SMALL_CACHE)


def shown(what: str, value: object) -> None:
    """Numbers a reader of the test's output wants to see."""
    sys.stdout.write(f"{what}: {value}\n")


def storm(gateway: Gateway, shots: list[Shot]) -> list[Outcome]:
    """Fire and wait for all."""
    return asyncio.run(fire(gateway.url, MODEL, shots, ttft_ms=TTFT_MS, timeout_s=400))


def test_two_hundred_clients_are_answered_or_refused_and_nothing_is_preempted(
    pressed: Gateway,
) -> None:
    outcomes = storm(pressed, mixed_shots(CLIENTS, seed=7))
    shown("outcomes", dict(tally(outcomes)))
    assert [o.error for o in outcomes if o.error] == []
    assert all(o.status == 200 or o.reason for o in outcomes)
    answered = [o for o in outcomes if o.status == 200]
    assert len(answered) >= 20, "the engine carries ten at a time for a minute"
    assert all(o.tokens == o.shot.max_tokens for o in answered if o.shot.ignore_eos)
    wait_until(lambda: nothing_held(pressed), within_s=GONE_S + 1)
    assert metric(pressed, "vllm:num_preemptions_total") == 0

    check = state_of(pressed)["ledger_check"]
    shown("ledger against engine", check)
    assert check["records"] > 50
    assert check["below_records"] == 0, "the ledger held less than the engine used"
    assert check["worst_above_blocks"] <= 0, "more than 15 % + one block per sequence above"
    assert check["kv_used_mean_while_waiting"] >= 0.70


def test_clients_that_hang_up_leave_nothing_behind(pressed: Gateway) -> None:
    moments = ("queued", "first_byte", "middle")
    shots = [
        Shot(
            words=150 + index,
            max_tokens=400,
            stream=index % 2 == 0,
            seed=900_000 + index,
            hang_up=moments[index % 3] if index % 2 == 0 else moments[2 * (index % 4 == 1)],
        )
        for index in range(100)
    ]
    before = metric(pressed, "vllm:generation_tokens_total")
    outcomes = storm(pressed, shots)
    shown("outcomes", dict(tally(outcomes)))
    wait_until(lambda: nothing_held(pressed), within_s=GONE_S)
    assert all(o.left or o.reason or o.error for o in outcomes), "nobody stayed for an answer"
    assert sum(o.left for o in outcomes) >= 50
    produced = metric(pressed, "vllm:generation_tokens_total") - before
    shown("tokens produced for clients that left", produced)
    assert produced < 0.25 * sum(shot.max_tokens for shot in shots)
    (answered,) = storm(pressed, [Shot(words=20, max_tokens=3, stream=False, seed=1)])
    assert answered.status == 200
