"""Many clients at once, the KV cache small so that the pressure is real: ten mean requests.

Once on the real model, where the CPU computes prompts so slowly that prefill binds as often as the
cache, and once on the simulated engine with steps of 10 ms, where only the cache binds. Then the
controller of Serve dies twice under such a crowd, and in the end Ctrl-C ends the gateway.
"""

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.live.ask import metric, nothing_held, state_of
from tests.live.clients import Stream
from tests.live.conftest import OneAtATime
from tests.live.gateway import Gateway, wait_until
from tests.live.storm import Outcome, Shot, fire, mixed_shots, tally

pytestmark = pytest.mark.alone  # it is held to seconds, and to what the engine does meanwhile

MODEL = "smollm2-135m-instruct"
CLIENTS = 200
TTFT_MS = 120_000  # who cannot have its first token by then is refused: that bounds the test
REAL_TTFT_MS = 75_000  # the same of the real model, which answers two dozen of them at most
GONE_S = 2.0
SMALL_CACHE = {
    "max_model_len": 2048,
    "block_size": 32,
    "kv_cache_memory_bytes": 237_404_160,  # 161 blocks x 32 tokens x 46,080 bytes
    "max_num_batched_tokens": 1024,
}
FIXED_STEPS: dict[str, Any] = {
    "engine": {"kind": "simulated"},
    "step_time": {"fixed_s": 0.02},
    "simulation": {
        "speed": 2.0,  # so a step takes 10 ms
        "output_tokens": {"median": 150, "p90": 400},  # of those that end by themselves
    },
}


@pytest.fixture
def pressed(gateway_of: OneAtATime) -> Gateway:
    """The real model with a small cache."""
    return gateway_of(engine_args=SMALL_CACHE)


@pytest.fixture
def stepped(gateway_of: OneAtATime) -> Gateway:
    """The same cache, and an engine that only the cache can slow, scheduling as on a GPU."""
    return gateway_of(engine_args=SMALL_CACHE | {"async_scheduling": True}, **FIXED_STEPS)


def shown(what: str, value: object) -> None:
    """Numbers a reader of the test's output wants to see."""
    sys.stdout.write(f"{what}: {value}\n")


def storm(gateway: Gateway, shots: list[Shot], *, ttft_ms: int = TTFT_MS) -> list[Outcome]:
    """Fire and wait for all."""
    return asyncio.run(fire(gateway.url, MODEL, shots, ttft_ms=ttft_ms, timeout_s=400))


def storm_without_preemption(
    gateway: Gateway, *, ttft_ms: int = TTFT_MS
) -> tuple[list[Outcome], dict[str, Any]]:
    """What holds for every engine; returns the outcomes and the ledger held against it."""
    outcomes = storm(gateway, mixed_shots(CLIENTS, seed=7), ttft_ms=ttft_ms)
    shown("outcomes", dict(tally(outcomes)))
    assert [o.error for o in outcomes if o.error] == []
    assert all(o.status == 200 or o.reason for o in outcomes)
    answered = [o for o in outcomes if o.status == 200]
    assert all(o.tokens == o.shot.max_tokens for o in answered if o.shot.ignore_eos)
    wait_until(lambda: nothing_held(gateway), within_s=GONE_S)
    outgrown = [line for line in gateway.written().splitlines() if "outgrew their price" in line]
    assert metric(gateway, "vllm:num_preemptions_total") == 0, outgrown

    check = state_of(gateway)["ledger_check"]
    shown("ledger against engine", check)
    assert check["below_records"] == 0, "the ledger held less than the engine used"
    assert check["worst_above_blocks"] <= 0, "more than 15 % + one block per sequence above"
    return answered, check


def test_two_hundred_clients_of_the_real_model_are_answered_or_refused_without_preemption(
    pressed: Gateway,
) -> None:
    answered, check = storm_without_preemption(pressed, ttft_ms=REAL_TTFT_MS)
    assert len(answered) >= 10
    assert check["records"] > 50


def test_clients_that_hang_up_leave_nothing_behind(pressed: Gateway) -> None:
    moments = ("queued", "first_byte", "middle")
    shots = [
        Shot(
            words=30 + index % 20,
            max_tokens=400,
            stream=index % 2 == 0,
            seed=900_000 + index,
            hang_up=moments[index // 2 % 3] if index % 2 == 0 else moments[index // 2 % 2 * 2],
        )
        for index in range(100)
    ]
    before = metric(pressed, "vllm:generation_tokens_total")
    outcomes = storm(pressed, shots)
    shown("outcomes", dict(tally(outcomes)))
    wait_until(lambda: nothing_held(pressed), within_s=GONE_S)
    assert all(o.left or o.reason or o.error for o in outcomes), "nobody stayed for an answer"
    assert any(o.left for o in outcomes)
    produced = metric(pressed, "vllm:generation_tokens_total") - before
    shown("tokens produced for clients that left", produced)
    assert produced < 0.25 * sum(shot.max_tokens for shot in shots)
    (answered,) = storm(pressed, [Shot(words=20, max_tokens=3, stream=False, seed=1)])
    assert answered.status == 200


def test_two_hundred_clients_fill_the_cache_while_anybody_waits(stepped: Gateway) -> None:
    answered, check = storm_without_preemption(stepped)
    assert len(answered) == CLIENTS
    assert check["waiting_records"] > 200
    assert check["kv_used_mean_while_waiting"] >= 0.70


def test_a_controller_of_serve_that_dies_twice_costs_no_request_and_no_replica(
    stepped: Gateway,
) -> None:
    shots = [Shot(words=20, max_tokens=500, stream=n % 2 == 0, seed=700 + n) for n in range(30)]
    engine = stepped.find("EngineCore")
    health: list[int | None] = []
    with ThreadPoolExecutor(1) as pool:
        crowd = pool.submit(storm, stepped, shots)
        wait_until(lambda: bool(state_of(stepped)["queue"]["requests"]), within_s=20.0)
        for _ in range(2):
            (controller,) = stepped.find("ServeController")
            psutil.Process(controller).kill()
            wait_until(
                lambda dead=controller: _controls_again(stepped, dead, health), within_s=90.0
            )
        outcomes = crowd.result()
    assert set(health) == {200}
    assert tally(outcomes) == {"200": len(shots)}
    assert all(o.tokens == o.shot.max_tokens for o in outcomes)
    assert stepped.find("EngineCore") == engine
    (answered,) = storm(stepped, [Shot(words=20, max_tokens=3, stream=False, seed=2)])
    assert answered.status == 200


def _controls_again(gateway: Gateway, dead: int, health: list[int | None]) -> bool:
    """Whether a new controller has found the replica that runs; notes how healthy it is so far."""
    health.append(gateway.get("/health"))
    found = [pid for pid in gateway.find("ServeController") if pid != dead]
    return bool(found) and "started successfully" in gateway.logs(
        f"serve/controller_{found[0]}.log"
    )


def test_ctrl_c_finishes_what_runs_and_a_second_one_ends_everything(stepped: Gateway) -> None:
    long = Stream(stepped, max_tokens=1900)  # 19 s and more
    wait_until(lambda: long.chunks > 0, within_s=30.0)
    stepped.process.send_signal(signal.SIGINT)
    wait_until(lambda: stepped.get("/health") == 503, within_s=5.0)
    seen = long.chunks
    wait_until(lambda: long.chunks > seen + 20, within_s=20.0)  # it goes on
    assert stepped.process.poll() is None
    assert stepped.stop(signal.SIGINT, within_s=20.0) == 0
    wait_until(lambda: not stepped.living(), within_s=5.0)  # the guard notices last
    assert not long.finished()
