"""What each hook into vLLM does on a running engine; one that computes nothing, so it is quick.

The engine is real: scheduler, KV cache, OpenAI handlers, statistics. Only its executor keeps
time instead of weights. What the hooks are and who uses them is in `test_vllm_hooks.py`.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from admission.price.footprint import RequestShape
from admission.speed.linear_steps import StepCoefficients
from admission.terms.decision import Reason, Rejected
from serve.embedded import model
from serve.engine_step import EngineStep
from serve.simulated.answers import Lengths
from serve.simulated.options import KEY, Options
from serve.simulated.planned import EXECUTOR
from serve.visit import VISIT, ApiFamily, Tenant, Visit
from tests.live.clients import GOOD, MODEL
from tests.live.gateway import wait_until

# torch and vLLM warn while they are imported and started
pytestmark = pytest.mark.filterwarnings("ignore")

CHAT, COMPLETIONS, RESPONSES, MESSAGES = GOOD
BLOCK_TOKENS, BLOCKS = 16, 1000
ENGINE_ARGS = {
    "served_model_name": MODEL,
    "dtype": "bfloat16",
    "max_model_len": 8191,  # no multiple of the block size, as many models' limits
    "block_size": BLOCK_TOKENS,
    "kv_cache_memory_bytes": BLOCKS * BLOCK_TOKENS * 23_040,
    "max_num_seqs": 32,
    "max_num_batched_tokens": 512,
    "enforce_eager": True,
    "distributed_executor_backend": EXECUTOR,
    "additional_config": {
        KEY: Options(1.0, 1, Lengths(150, 400), StepCoefficients(0.002, 0, 0, 0)).as_json()
    },
}
SERVER_ARGS = {"anthropic_disabled_thinking_effort": "none"}


@dataclass
class Keeper:
    """Stands where the gate does: lets all pass, or none, and remembers what it was asked."""

    verdict: Rejected | None = None
    shapes: list[RequestShape] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    steps: list[EngineStep] = field(default_factory=list)
    running: set[tuple[str, int]] = field(default_factory=set)  # our id, index for n > 1
    unleased_calls: int = 0
    compiling: int = 0  # those that were rendered before their form was compiled
    seen_running: asyncio.Event = field(default_factory=asyncio.Event)

    def rendered(self, visit: Visit) -> None:
        self.compiling += 1

    async def admit(self, visit: Visit, shape: RequestShape) -> bool:
        self.shapes.append(shape)
        visit.verdict = self.verdict
        visit.lease_id = None if self.verdict else 1
        return self.verdict is None

    def refuse(self, visit: Visit, refusal: Rejected) -> None:
        visit.verdict = refusal

    def starting(self, visit: Visit, engine_id: str, shape: RequestShape) -> None:
        self.started.append(engine_id)

    def unleased(self) -> None:
        self.unleased_calls += 1

    def step_lost(self) -> None:
        raise AssertionError("every record of this engine can be read")

    def stepped(self, step: EngineStep) -> None:
        self.steps.append(step)
        self.running |= {(s.external_req_id, s.request_index) for s in step.running.values()}
        if self.running:
            self.seen_running.set()


@dataclass
class Running:
    """An engine with its keeper, on a loop that runs while a test waits for something."""

    engine: Any
    keeper: Keeper
    loop: asyncio.Runner

    def post(self, route: str, **fields: Any) -> httpx2.Response:
        """A request inside a visit, as the edge makes one."""
        return self.loop.run(self._post(route, a_visit(route), fields))

    def post_without_a_visit(self, route: str) -> httpx2.Response:
        """As a way in that the edge does not know would."""
        return self.loop.run(self._post(route, None, {}))

    async def _post(self, route: str, visit: Visit | None, fields: Any) -> httpx2.Response:
        VISIT.set(visit)
        transport = httpx2.ASGITransport(self.engine.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://engine") as client:
            return await client.post(route, json={**GOOD[route], **fields}, timeout=60)


def a_visit(route: str) -> Visit:
    return Visit("r1", Tenant("team"), route, ApiFamily.OPENAI, deadline_s=30.0, arrived_at_s=0.0)


@pytest.fixture(scope="module")
def started() -> Iterator[Running]:
    """One engine for all tests; seconds."""
    from serve.engine import start  # noqa: PLC0415 - vLLM: takes seconds, and warns
    from serve.engine.arguments import parse_arguments  # noqa: PLC0415

    folder = model.prepare(MODEL, progress=lambda _: None)
    args = parse_arguments({**ENGINE_ARGS, "model": str(folder)}, SERVER_ARGS)
    with asyncio.Runner() as loop:
        engine = loop.run(start.start(args))
        try:
            keeper = Keeper()
            loop.run(engine.attach(keeper))
            yield Running(engine, keeper, loop)
        finally:
            engine.close()
            loop.run(asyncio.sleep(0))  # vLLM closes its sockets on the loop
            # its context it leaves to the garbage collector, which warns when pytest has ended
            engine._client.engine_core.ctx._shadow_obj.destroy(linger=0)


@pytest.fixture
def running(started: Running) -> Running:
    """The engine with a keeper that has seen nothing."""
    vars(started.keeper).update(vars(Keeper()))
    return started


def usage_of(document: Any) -> tuple[int, int]:
    """Prompt and output tokens under the names of whichever API."""
    usage = document["usage"]
    names = ("prompt_tokens", "completion_tokens")
    if "input_tokens" in usage:
        names = ("input_tokens", "output_tokens")
    return usage[names[0]], usage[names[1]]


def test_vllm_writes_no_line_per_step(running: Running) -> None:
    """Serve looks up the caller of every line that is written: a millisecond each."""
    from vllm.v1.metrics import loggers  # noqa: PLC0415

    names = {type(each).__name__ for each in _stat_loggers(running.engine._client.logger_manager)}
    assert "_StepLogger" in names, "our own logger is not found where this test looks"
    assert loggers.LoggingStatLogger.__name__ not in names, "its level is reset after we set it"


def _stat_loggers(manager: Any) -> Iterator[Any]:
    for outer in manager.stat_loggers:
        yield from getattr(outer, "per_engine_stat_loggers", {0: outer}).values()


def test_the_engine_s_shape_is_read_from_its_cache(running: Running) -> None:
    shape = running.engine.shape
    assert shape.block_tokens == BLOCK_TOKENS
    assert shape.usable_blocks == BLOCKS - 1, "one block is vLLM's null block"
    assert (shape.max_sequences, shape.max_model_len) == (32, 8191)
    assert shape.max_batched_tokens == 512
    assert shape.prefix_caching
    assert shape.lookahead_tokens == 0, "the CPU build schedules synchronously"


@pytest.mark.parametrize("route", list(GOOD))
def test_each_route_asks_once_with_its_exact_tokens_and_starts_under_its_lease(
    running: Running, route: str
) -> None:
    answer = running.post(route)
    assert answer.status_code == 200, answer.text
    prompt_tokens, output_tokens = usage_of(answer.json())
    (shape,) = running.keeper.shapes
    assert shape.prompt_tokens == prompt_tokens
    assert shape.prompts[0].max_tokens == output_tokens == 2
    assert len(running.keeper.started) == 1
    assert running.keeper.unleased_calls == 0


@pytest.mark.parametrize("route", list(GOOD))
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_on_any_route_is_no_200_and_starts_nothing(
    running: Running, route: str, stream: bool
) -> None:
    running.keeper.verdict = Rejected(Reason.KV_CAPACITY, "full")
    answer = running.post(route, stream=stream)
    assert answer.status_code == 400, "the edge puts ours in its place"
    assert running.keeper.started == []
    assert running.keeper.steps == []


@pytest.mark.parametrize("route", list(GOOD))
def test_a_call_that_reaches_the_engine_without_a_lease_fails(running: Running, route: str) -> None:
    assert running.post_without_a_visit(route).status_code == 500
    assert running.keeper.unleased_calls == 1
    assert running.engine.unfinished == 0


def test_all_prompts_and_answers_of_a_body_are_asked_for_together(running: Running) -> None:
    running.post(COMPLETIONS, prompt=["one", "one two three"], n=2, max_tokens=3, stop=["x y z"])
    (shape,) = running.keeper.shapes
    assert (len(shape.prompts), shape.sequences, shape.front_end_stops) == (2, 2, True)
    assert len(running.keeper.started) == 2, "each prompt is an engine request"
    wanted = {(engine_id, index) for engine_id in running.keeper.started for index in (0, 1)}
    assert running.keeper.running == wanted, "sequences.py knows them by our id and their index"


def test_prompts_are_named_so_that_those_the_engine_caches_are_known_again(
    running: Running,
) -> None:
    text = "name " * 300  # of no other test: they share one engine and its cache
    for prompt, fields in (
        (text + "one", {}),
        (text + "two", {}),
        (text + "one", {"cache_salt": "other"}),
        (text + "one", {"prompt_logprobs": 1}),
    ):
        running.post(COMPLETIONS, prompt=prompt, max_tokens=1, **fields)
    first, second, salted, logprobs = (
        shape.prompts[0].prefix_hashes for shape in running.keeper.shapes
    )
    assert len(first) == 2
    assert first == second
    assert not set(first) & set(salted)
    assert logprobs == ()


def test_what_the_engine_would_find_wrong_is_found_before_anybody_is_asked(
    running: Running,
) -> None:
    answer = running.post(CHAT, stream=True, logit_bias={"999999": 1})
    assert answer.status_code == 400
    assert "out-of-vocab" in answer.json()["error"]["message"]
    assert running.keeper.shapes == []


FORMS = [
    ({"json": {"$ref": "#"}}, "no finite text"),
    ({"json": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}}, "finite"),
    ({"grammar": 'root ::= "x" b\nb ::= b'}, "no finite text"),
    ({"grammar": 'root ::= root root root | root root | "a" | "b" | ""'}, "too "),
    ({"regex": "(.{1,100}){1,100}"}, "too "),  # ambiguous, or it takes too long to compile
    ({"json": {"properties": {f"p{n}": {} for n in range(2000)}}}, "properties"),
]


@pytest.mark.parametrize(("form", "words"), FORMS, ids=lambda value: str(value)[:40])
def test_a_form_that_cannot_be_answered_is_found_before_anybody_is_asked(
    running: Running, form: Any, words: str
) -> None:
    for _ in range(2):  # compiled, and remembered
        answer = running.post(CHAT, stream=True, structured_outputs=form)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
    assert running.keeper.shapes == []


def test_a_form_is_compiled_when_the_prompt_counts_as_rendered(running: Running) -> None:
    assert running.post(CHAT).status_code == 200
    assert running.keeper.compiling == 0
    form = {"choice": ["yes", "no"]}
    assert running.post(CHAT, structured_outputs=form).status_code == 200
    assert running.keeper.compiling == 1


def test_a_body_that_vllms_checks_trip_over_is_known_by_its_parser(running: Running) -> None:
    fault_in = running.engine.fault_in
    for form in ("x", 1, [0]):
        assert fault_in(CHAT, {**GOOD[CHAT], "structured_outputs": form})
    for route in GOOD:
        assert fault_in(route, dict(GOOD[route])) is None
    assert fault_in("/tokenize", {"tokens": 1})
    assert fault_in("/v1/models", {}) is None


def test_what_takes_too_long_to_compile_is_refused_while_the_loop_goes_on(
    running: Running,
) -> None:
    grammars = running.engine._grammars
    grammars._bound_s, usual_s = 0.01, grammars._bound_s
    large = {"json": {"properties": {f"p{n}": {"type": "string"} for n in range(300)}}}
    try:
        answer = running.post(CHAT, structured_outputs=large)
        assert answer.status_code == 400
        assert "Compiling" in answer.json()["error"]["message"]
    finally:
        grammars._bound_s = usual_s
    assert running.post(CHAT, structured_outputs={"choice": ["a", "b"]}).status_code == 200


def test_steps_tell_tokens_times_and_the_end_of_each_answer(running: Running) -> None:
    answer = running.post(COMPLETIONS, prompt="word " * 700, max_tokens=5, ignore_eos=True)
    prompt_tokens, output_tokens = usage_of(answer.json())
    steps = running.keeper.steps
    assert sum(step.prefill_tokens for step in steps) == prompt_tokens
    assert sum(step.decode_tokens for step in steps) == output_tokens - 1, "the first is prefill's"
    assert max(step.kv_used_ratio or 0.0 for step in steps) >= prompt_tokens / 16 / BLOCKS
    assert all(step.elapsed_s > 0 for step in steps if step.prefill_tokens)
    assert all(step.preempted == 0 for step in steps)
    ages_s = [step.age_s for step in steps if step.decode_tokens]
    assert all(0 < age_s < 60 for age_s in ages_s), "both clocks are the same monotonic one"
    (finished,) = [finished for step in steps for finished in step.finished]
    assert [finished.engine_id] == running.keeper.started
    assert (finished.output_tokens, finished.reason) == (5, "length")

    running.keeper.steps.clear()
    running.post(COMPLETIONS, prompt="word " * 700, max_tokens=1)
    assert sum(step.cached_tokens for step in running.keeper.steps) > 0, "found in the cache"


def test_an_aborted_request_is_gone_from_the_engine(running: Running) -> None:
    async def abort_one() -> tuple[int, int, int]:
        asked = asyncio.create_task(
            running._post(COMPLETIONS, a_visit(COMPLETIONS), {"max_tokens": 8000, "prompt": [5]})
        )
        await running.keeper.seen_running.wait()
        before = running.engine.unfinished
        aborted = await running.engine.abort(running.keeper.started)
        await asked
        return before, aborted, await running.engine.abort(running.keeper.started)

    assert running.loop.run(abort_one()) == (1, 1, 0)
    assert running.engine.unfinished == 0


def test_a_price_is_known_without_asking_or_running(running: Running) -> None:
    async def shape_of(route: str) -> RequestShape:
        VISIT.set(None)
        shape: RequestShape = await running.engine.shape_of_body(
            route, dict(GOOD[route]), waits=lambda: None
        )
        return shape

    for route in GOOD:
        explained = running.loop.run(shape_of(route))
        assert running.keeper.shapes == []
        running.post(route)
        assert running.keeper.shapes.pop() == explained


def test_a_stopped_engine_answers_no_ping_until_it_goes_on(running: Running) -> None:
    (process,) = running.engine._client.engine_core.resources.engine_manager.processes

    async def ping_while_stopped() -> bool:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            ping = asyncio.create_task(running.engine.ping())
            done, _ = await asyncio.wait({ping}, timeout=0.3)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        async with asyncio.timeout(60):
            await ping
        return bool(done)

    running.loop.run(running.engine.ping())
    assert not running.loop.run(ping_while_stopped())


def test_a_stopped_engine_is_ended_and_counts_as_dead(running: Running) -> None:
    """The last test here: nothing runs afterwards."""
    (process,) = running.engine._client.engine_core.resources.engine_manager.processes

    os.kill(process.pid, signal.SIGSTOP)
    running.engine.kill()
    wait_until(lambda: bool(running.engine.errored), within_s=60)
    assert not process.is_alive()
