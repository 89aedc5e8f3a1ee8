"""The lab's engine: vLLM's own scheduler and KV cache in this process, on a virtual clock.

Each place where `serve.simulated.in_process` reaches into vLLM has a test; when one fails after an
upgrade, vLLM has moved what the lab stands on.
"""

import inspect
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from admission.terms.settings import Settings
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import play_one
from serve.commands import cli
from serve.profile.settings import load_profile
from serve.simulated.requests import EngineRequest
from tests.loadtests.lab.lab_cases import asked, workload_of

# torch and vLLM warn while they are imported, which happens inside the tests: it takes seconds
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore")]
PROFILE = Path(__file__).parents[3] / "configs" / "sim-qwen3-32b-8xa10.yaml"
KV_TOKENS = 40_000


@pytest.fixture(scope="module")
def engines() -> Any:
    from loadtests.lab.playing.engines import Engines  # noqa: PLC0415 - imports vLLM

    return Engines(load_profile(PROFILE), KV_TOKENS)


@pytest.fixture
def engine(engines: Any) -> Iterator[Any]:
    fresh = engines.fresh()
    yield fresh
    fresh.close()


def request(number: int, prompt: int, output: int, **more: Any) -> EngineRequest:
    return EngineRequest(str(number), prompt, output, more.pop("max_tokens", 4096), **more)


def finish(engine: Any, *, most: int = 2000) -> list[Any]:
    """All steps until it is idle."""
    steps = []
    while engine.ends_at_s is not None:
        assert len(steps) < most
        steps.append(engine.finish_step())
    return steps


def test_the_core_takes_what_it_is_given() -> None:
    from vllm.v1.engine.core import EngineCore  # noqa: PLC0415
    from vllm.v1.request import Request  # noqa: PLC0415

    given = inspect.signature(EngineCore.__init__).parameters
    assert {"vllm_config", "executor_class", "log_stats"} <= set(given)
    assert {"block_hasher", "arrival_time"} <= set(inspect.signature(Request).parameters)
    from vllm.v1.core.sched.scheduler import Scheduler  # noqa: PLC0415

    made = {"vllm_config", "kv_cache_config", "structured_output_manager", "hash_block_size"}
    assert made <= set(inspect.signature(Scheduler.__init__).parameters)
    for name in ("shutdown", "finish_requests", "get_request_counts"):
        assert hasattr(Scheduler, name), f"VirtualEngine uses Scheduler.{name}"
    for name in ("add_request", "step_with_batch_queue", "step"):
        assert hasattr(EngineCore, name), f"VirtualEngine uses EngineCore.{name}"


def test_an_engine_after_another_knows_nothing_of_it(engines: Any) -> None:
    """Prefixes, requests in mid-answer and orders on their way are gone with the one before."""
    told = []
    for _ in range(2):
        engine = engines.fresh()
        core = engine._core
        for number in range(12):
            engine.add(request(number, 1500, 300, prefix=("7", "8")), 0.0)
        told.append([noted(engine) for _ in range(200)])
        engine.close()
    assert told[0] == told[1]
    assert engines.fresh()._core is core


def test_two_engines_at_a_time_have_nothing_in_common(engines: Any) -> None:
    first, second = engines.fresh(), engines.fresh()
    first.add(request(1, 100, 5), 0.0)
    assert second.ends_at_s is None
    assert first._core is not second._core


def test_the_core_runs_as_the_simulated_engine_does(engines: Any, engine: Any) -> None:
    assert engines.shape.capacity_tokens == KV_TOKENS
    assert engines.shape.lookahead_tokens == 1, "asynchronous scheduling"
    assert engine._core.batch_queue is not None, "two steps are ordered at a time"


def test_a_request_gets_exactly_its_tokens(engine: Any) -> None:
    engine.add(request(1, 1000, 37), 0.0)
    engine.add(request(2, 10, 99, max_tokens=5), 0.0)
    ended = {each.engine_id: each for step in finish(engine) for each in step.finished}
    assert (ended["1"].output_tokens, ended["1"].reason) == (37, "stop")
    assert (ended["2"].output_tokens, ended["2"].reason) == (5, "length")
    assert not engine.running


def test_a_step_is_recorded_as_the_front_end_records_it(engine: Any) -> None:
    engine.add(request(1, 600, 3), 10.0)
    assert engine.ends_at_s > 10.0
    first = engine.finish_step()
    assert (first.prefill_tokens, first.decode_tokens) == (512, 0)
    assert engine.begun == []
    second = engine.finish_step()
    assert second.prefill_tokens == 88
    assert engine.begun == ["1"]
    third = engine.finish_step()
    assert (third.prefill_tokens, third.decode_tokens) == (0, 1)
    assert third.elapsed_s > 0
    assert third.kv_used_ratio == pytest.approx(38 * 16 / KV_TOKENS, abs=2e-3)


def test_a_request_in_a_step_is_heard_when_it_ends(engine: Any) -> None:
    engine.add(request(1, 100, 50), 0.0)
    engine.finish_step()
    engine.add(request(2, 100, 5), 0.0)
    prefill = [engine.finish_step().prefill_tokens for _ in range(4)]
    assert prefill[:2] == [0, 0], "both steps on their way were ordered without it"
    assert 100 in prefill[2:]


def test_prompts_that_begin_alike_are_computed_once(engine: Any) -> None:
    engine.add(request(1, 1500, 2, prefix=("7", "8")), 0.0)
    finish(engine)
    engine.add(request(2, 1300, 2, prefix=("7", "8")), 100.0)
    steps = finish(engine)
    assert sum(step.prefill_tokens for step in steps) == 1300 - 1024
    assert sum(step.cached_tokens for step in steps) == 1024
    engine.add(request(3, 1300, 2, prefix=("9", "8")), 200.0)
    assert sum(step.prefill_tokens for step in finish(engine)) == 1300


def test_a_full_cache_preempts_and_everybody_still_ends(engine: Any) -> None:
    for number in range(30):
        engine.add(request(number, 1000, 700), 0.0)
    steps = finish(engine, most=10_000)
    ended = [each for step in steps for each in step.finished]
    assert {each.output_tokens for each in ended} == {700}
    assert sum(step.preempted for step in steps) > 0
    assert sum(each.preemptions for each in ended) == sum(step.preempted for step in steps)


@pytest.mark.parametrize(("kv_tokens", "seed"), [(None, 3), (KV_TOKENS, 3), (KV_TOKENS, 8)])
def test_fast_forward_gives_the_same_step_records(
    engines: Any, kv_tokens: int | None, seed: int
) -> None:
    """Answers that end together, prefixes that are evicted, a cache that runs full."""
    told = [records(engines, kv_tokens, seed=seed, fast_forward=skips) for skips in (True, False)]
    assert len(told[0]) > 1000
    assert told[0] == told[1]


def test_fast_forward_gives_the_same_records_with_more_waiting_than_running(engines: Any) -> None:
    told = [crowd(engines, fast_forward=skips) for skips in (True, False)]
    assert max(len(step[2]) for step in told[0]) == 300
    assert told[0] == told[1]


def crowd(engines: Any, *, fast_forward: bool) -> list[Any]:
    """All steps of 300 requests that come at once, where 256 run at a time."""
    from serve.simulated.in_process import VirtualEngine  # noqa: PLC0415 - imports vLLM

    engine = VirtualEngine(engines._config, fast_forward=fast_forward)
    for number in range(300):
        engine.add(request(number, 40 + number % 900, 20 + 13 * number % 170), 0.0)
    told = []
    while engine.ends_at_s is not None:
        told.append(noted(engine))
    engine.close()
    return told


def test_the_scheduler_is_asked_when_somebody_comes_and_not_of_every_step(engine: Any) -> None:
    asked_for = []
    schedule = engine._core.scheduler.schedule
    engine._core.scheduler.schedule = lambda *given: asked_for.append(given) or schedule(*given)
    for number, output in enumerate((300, 40, 90)):
        engine.add(request(number, 6000, output, max_tokens=90), 0.0)
        for _ in range(5):
            engine.finish_step()
    steps = finish(engine)
    ended = [each.engine_id for step in steps for each in step.finished]
    assert sorted(ended) == ["0", "1", "2"]
    assert len(steps) > 100
    assert len(asked_for) < 20


def records(engines: Any, kv_tokens: int | None, *, seed: int, fast_forward: bool) -> list[Any]:
    """All steps of random requests that come at random, each with what its running ones have."""
    from serve.simulated.in_process import VirtualEngine  # noqa: PLC0415 - imports vLLM

    rng = random.Random(seed)
    blocks = kv_tokens and kv_tokens // 16
    engine = VirtualEngine(engines._config, usable_blocks=blocks, fast_forward=fast_forward)
    told = []
    for number in range(90):
        prompt, output = rng.randrange(1, 4000), rng.choice([1, 2, 40, rng.randrange(1, 900)])
        prefix = tuple(str(rng.randrange(3)) for _ in range((prompt - 1) // 512))
        now_s = told[-1][0] if told else 0.0
        limit = rng.choice([16, 4096])
        engine.add(request(number, prompt, output, max_tokens=limit, prefix=prefix), now_s)
        for _ in range(rng.choice([0, 3, 60])):
            told += [noted(engine)] if engine.ends_at_s is not None else []
    while engine.ends_at_s is not None:
        assert len(told) < 20_000
        told.append(noted(engine))
    engine.close()
    return told


def noted(engine: Any) -> tuple[Any, ...]:
    ends_at_s = engine.ends_at_s
    step = engine.finish_step()
    running = [(each.external_req_id, each.num_generation_tokens) for each in step.running.values()]
    return ends_at_s, replace(step, running={}), tuple(running), tuple(engine.begun)


def test_the_gateways_ledger_is_never_below_the_engine(engines: Any, engine: Any) -> None:
    rng = random.Random(3)
    requests = [
        asked(n, 1.5 * n, prompt=rng.randrange(100, 900), output=rng.randrange(1, 64))
        for n in range(60)
    ]
    bounds = Bounds(30.0, 1.0)
    door = OurGateway(engines.shape, Settings(), bounds)
    played = play_one(workload_of(*requests), engine, door, bounds)
    assert played.steps > 300
    assert played.preemptions == 0
    assert all(each.good(bounds) for each in played.outcomes)
    agreement = door._desk.agreement
    assert agreement.records >= played.steps
    assert agreement.below_records == 0
    assert door.controller.ledger.sequences == 0


def test_no_policy_is_above_the_oracle_and_the_oracle_not_above_the_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(7)
    rows = [f"{4 * n},{rng.randrange(200, 3000)},{rng.randrange(2, 150)}" for n in range(40)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["timestamp_s,prompt_tokens,output_tokens", *rows]))
    words = [trace, "--config", PROFILE, "--warm-up", "5", "--kv-tokens", KV_TOKENS]
    words += ["--policies", "footprint,off,aimd", "--rate-scale", "3", "--json"]
    assert cli.main(["lab", "play", *map(str, words)]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    rows_by_policy = {row["policy"]: row for row in cell["rows"]}
    assert set(rows_by_policy) == {"footprint", "off", "aimd", "oracle_b"}
    for row in rows_by_policy.values():
        assert row["offered"] == 35
        assert 0 <= row["fraction_of_oracle"] <= 1
    if cell["bound_goodput_per_s"] is not None:  # None without scipy
        assert rows_by_policy["oracle_b"]["goodput_per_s"] <= cell["bound_goodput_per_s"] + 1e-9
