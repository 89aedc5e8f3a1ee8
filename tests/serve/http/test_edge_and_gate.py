"""The edge around the real gate: after any mix of exits nothing is held and nobody waits."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from admission.price.footprint import PromptShape, RequestShape
from serve.access.tenants import Keys
from serve.gate.gate import Gate
from serve.http.edge import Edge, Terms
from serve.http.routes.own import Routes
from serve.observability.metrics import Metrics
from serve.observability.telemetry import Telemetry
from serve.observability.tracing import Tracing
from serve.profile.access_section import AccessSection
from serve.profile.admission_section import AdmissionSection
from serve.profile.sections import HttpSection
from serve.visit import VISIT
from tests.fakes import Exchange, FakeEngineApp, body, operations_of, settle, start
from tests.serve.fake_engine import SHAPE, FakeEngine


class App(FakeEngineApp):
    """vLLM's app in little, on the fake engine; the body says how long prompt and answer are."""

    def __init__(self, gate: Gate, engine: FakeEngine) -> None:
        super().__init__(self)
        self.real_gate = gate
        self.engine = engine
        self.rendered = 0
        self.counting = 0
        self.renders = asyncio.Event()
        self.renders.set()
        self.compiles = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.running += 1
        try:
            asked = json.loads((await receive())["body"])
            await self._until_disconnect(self._answer(asked, send), receive)
        finally:
            self.running -= 1

    async def _answer(self, asked: dict[str, int], send: Send) -> None:
        visit = VISIT.get()
        if visit is None:
            await self._count(send)
            return
        shape = RequestShape(prompts=(PromptShape(asked["prompt"], asked["max_tokens"]),))
        self.rendered += 1
        if "form" in asked:  # something takes longer than rendering
            self.real_gate.rendered(visit)
            await self.compiles.wait()
        await asyncio.sleep(0)  # as long as rendering takes
        await self.renders.wait()
        if not await self.real_gate.admit(visit, shape):
            await send(start(429))
            await send(body(b"{}"))
            return
        tokens = self.engine.generate(visit, asked["prompt"], asked["wanted"])
        if not asked["stream"]:
            whole = [token async for token in tokens]
            await send(start(200))
            await send(body(json.dumps(whole).encode()))
            return
        await send(start(200, (b"content-type", b"text/event-stream")))
        async for token in tokens:
            await send(body(b"data: %d\n\n" % token, more=True))
        await send(body(b"data: [DONE]\n\n"))

    async def _count(self, send: Send) -> None:
        self.counting += 1
        try:
            await self.renders.wait()
        finally:
            self.counting -= 1
        await send(start(200))
        await send(body(b'{"input_tokens": 7}'))


@dataclass
class Real:
    """The edge, the gate and the engine that a test looks at."""

    edge: Edge
    gate: Gate
    engine: FakeEngine
    app: App

    def ask(
        self, prompt: int, wanted: int, *, stream: bool = True, limit: int = 64, **more: int
    ) -> Exchange:
        """A request whose answer will have `wanted` tokens of at most `limit`."""
        call = Exchange()
        asked = {"prompt": prompt, "wanted": wanted, "max_tokens": limit, "stream": stream, **more}
        call.give(json.dumps(asked).encode())
        return call.begin(self.edge)

    def count(self) -> Exchange:
        """A request for the number of its tokens."""
        call = Exchange(path="/v1/messages/count_tokens")
        call.give(b"{}")
        return call.begin(self.edge)

    @property
    def held_blocks(self) -> int:
        return self.gate.controller.ledger.held_blocks

    @property
    def waiting(self) -> int:
        return len(self.gate.controller.queue)

    async def steps(self, count: int) -> None:
        """The engine works."""
        for _ in range(count):
            self.engine.step()
            await settle()

    async def assert_empty(self) -> None:
        """Nothing is held, nobody waits, the engine has nothing left."""
        await self.steps(5)  # an abort counts until the engine must have heard of it
        assert self.held_blocks == 0
        assert len(self.gate.controller.ledger.leases) == 0
        assert self.waiting == 0
        assert self.engine.unfinished == 0
        assert self.app.running == 0


@asynccontextmanager
async def real(**settings: object) -> AsyncIterator[Real]:
    engine, registry = FakeEngine(), CollectorRegistry()
    metrics = Metrics(registry)
    gate = Gate(engine, AdmissionSection(**settings), metrics=metrics)
    engine.gate = gate
    app = App(gate, engine)
    terms = Terms(HttpSection(), AccessSection(), Keys())
    routes = Routes(gate, operations_of(gate, metrics), registry=registry)
    edge = Edge(app, gate, terms, Telemetry(metrics, Tracing()), routes)
    try:
        yield Real(edge, gate, engine, app)
    finally:
        await gate.close()


async def hang_up(call: Exchange, how: str) -> None:
    """As Ray Serve tells it: a message, a cancellation, or both at once."""
    assert call.task is not None
    if how in {"disconnect", "both"}:
        call.disconnect()
    if how in {"cancellation", "both"}:
        call.task.cancel()
    await asyncio.wait({call.task}, timeout=5)
    assert call.task.done()


HOW = ["disconnect", "cancellation", "both"]


async def test_what_is_answered_is_given_back() -> None:
    async with real() as at:
        streamed, whole = at.ask(30, 5), at.ask(30, 5, stream=False)
        await settle()
        await at.steps(1)
        assert at.held_blocks > 0
        await at.steps(6)
        await streamed.end()
        await whole.end()
        assert streamed.answer_body.endswith(b"data: 5\n\ndata: [DONE]\n\n")
        assert whole.answer_json == [1, 2, 3, 4, 5]
        assert at.engine.aborted == []
        await at.assert_empty()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_running_request_whose_client_leaves_is_aborted(how: str, stream: bool) -> None:
    async with real() as at:
        call = at.ask(30, 60, stream=stream)
        await settle()
        await at.steps(3)
        await hang_up(call, how)
        assert len(at.engine.aborted) == 1
        await at.assert_empty()


@pytest.mark.parametrize("how", HOW)
async def test_a_waiting_request_whose_client_leaves_frees_its_place(how: str) -> None:
    async with real() as at:
        running = [at.ask(30, 64) for _ in range(8)]
        await settle()
        last = at.ask(30, 5)
        await settle()
        assert at.waiting >= 1
        before = at.waiting
        await hang_up(last, how)
        assert at.waiting == before - 1
        assert last.sent == []
        for call in running:
            await hang_up(call, how)
        await at.assert_empty()


@pytest.mark.parametrize("how", HOW)
async def test_a_client_that_leaves_in_the_instant_of_acceptance_holds_nothing(how: str) -> None:
    async with real() as at:
        running = [at.ask(30, 2) for _ in range(12)]
        await settle()
        assert at.waiting > 0
        at.engine.step()
        at.engine.step()  # finishes some: the next in the queue get their lease in this very turn
        await asyncio.gather(*(hang_up(call, how) for call in running))
        await at.assert_empty()


async def test_an_engine_that_dies_answers_everybody_and_leaves_nothing_behind() -> None:
    async with real() as at:
        calls = [at.ask(30, 64, stream=bool(n % 2)) for n in range(12)]
        await settle()
        assert at.waiting > 0
        at.engine.errored = True
        for sequence in at.engine.running.values():
            sequence.tokens.put_nowait(None)  # vLLM's own streams end with an error
        at.engine.running.clear()
        for call in calls:
            await call.end()
        assert {call.status for call in calls} <= {200, 503}
        assert all(call.finished for call in calls)
        late = at.ask(30, 5)
        await late.end()
        assert late.answer_headers["x-sluice-reason"] == "engine_down"
        assert at.held_blocks == 0
        assert at.waiting == 0


async def test_a_drain_lets_run_what_runs_and_sends_the_rest_away() -> None:
    async with real() as at:
        calls = [at.ask(30, 10) for _ in range(12)]
        await settle()
        at.gate.drain()
        late = at.ask(30, 10)
        await late.end()
        assert late.status == 503
        await at.steps(12)
        for call in calls:
            await call.end()
        assert {call.status for call in calls} == {200, 503}
        await at.assert_empty()


@pytest.mark.parametrize("seed", range(20))
async def test_any_mix_of_requests_and_exits_leaves_nothing_behind(seed: int) -> None:
    rng = random.Random(seed)
    async with real() as at:
        calls: list[Exchange] = []
        leaving: list[asyncio.Task[None]] = []
        for _ in range(120):
            action = rng.random()
            if action < 0.5:
                limit = rng.randint(1, 128)
                wanted = rng.randint(1, limit)
                calls.append(
                    at.ask(rng.randint(1, 100), wanted, stream=rng.random() < 0.5, limit=limit)
                )
            elif action < 0.8 and calls:
                gone = calls.pop(rng.randrange(len(calls)))
                leaving.append(asyncio.create_task(hang_up(gone, rng.choice(HOW))))
            else:
                at.engine.step()
            for _ in range(rng.randint(0, 6)):
                await asyncio.sleep(0)
            assert at.engine.unfinished <= SHAPE.max_sequences
            assert at.held_blocks <= SHAPE.usable_blocks
        for _ in range(2000):
            if all(call.task.done() for call in calls):
                break
            await at.steps(1)
        for call in calls:
            await call.end()
            assert call.finished
        await asyncio.gather(*leaving)
        await at.assert_empty()


async def test_a_burst_beyond_the_deadline_is_refused_without_the_engine_s_app() -> None:
    async with real(ttft_deadline_s=30, line={"max_requests": 1000}) as at:
        clock_s = [at.gate.now_s()]
        at.gate.now_s = lambda: clock_s[0]
        running = [at.ask(10, 20, limit=20) for _ in range(8)]
        await settle()
        await at.steps(1)
        for _ in range(60):
            at.gate.controller.speed.pace.observe(
                elapsed_s=0.5, steps=1, prefill_tokens=0, decode_tokens=8
            )
        calls = []
        for _ in range(200):  # a hundred in a second; eight end in 10 s, so some 20 are in time
            clock_s[0] += 0.01
            calls.append(at.ask(10, 20, limit=20))
            await settle()
        refused = [call for call in calls if call.status == 429]
        taken_in = len(calls) - len(refused)
        assert 0 < taken_in <= at.waiting < 60
        rendered = at.app.rendered - len(running)
        assert rendered <= taken_in + 4, "those that came too late cost no rendering"
        assert {call.answer_headers["x-sluice-reason"] for call in refused} <= {"slots", "ttft_slo"}
        for call in (*running, *calls):
            await hang_up(call, "disconnect")
        clock_s[0] += 10.0  # an idle engine has freed what was aborted by then
        await at.assert_empty()


async def test_a_long_line_to_the_renderer_is_refused_at_the_door() -> None:
    async with real() as at:
        at.app.renders.clear()  # a prompt takes as long as the test says
        stuck = [at.ask(30, 5) for _ in range(10)]  # four render, six wait
        await settle()
        at.gate._renderings._mean_s = 100.0  # of late
        late = at.ask(30, 5)
        await late.end()
        assert late.status == 429
        assert late.answer_headers["x-sluice-reason"] == "ttft_slo"
        assert at.app.rendered == 4
        at.app.renders.set()
        for call in stuck:
            await hang_up(call, "disconnect")
        await at.assert_empty()


@pytest.mark.parametrize("how", HOW)
async def test_a_client_that_leaves_while_it_waits_to_be_rendered_holds_no_place(how: str) -> None:
    async with real() as at:
        at.app.renders.clear()
        calls = [at.ask(30, 5) for _ in range(9)]
        await settle()
        for call in calls[4:]:
            await hang_up(call, how)
        assert at.app.rendered == 4
        at.app.renders.set()
        for call in calls[:4]:
            await hang_up(call, how)
        last = at.ask(30, 5)
        await settle()
        await at.steps(6)
        await last.end()
        assert last.status == 200
        await at.assert_empty()


@pytest.mark.parametrize("how", HOW)
async def test_counting_tokens_takes_a_place_to_render_in_and_holds_nothing_else(how: str) -> None:
    async with real() as at:
        at.app.renders.clear()
        calls = [at.ask(30, 5) for _ in range(3)]
        await settle()
        counting = [at.count() for _ in range(3)]  # one renders, two wait
        await settle()
        assert at.app.counting == 1
        for call in counting:
            await hang_up(call, how)
        assert at.app.counting == 0
        at.app.renders.set()
        last = at.count()
        await settle()
        assert last.answer_json == {"input_tokens": 7}
        await at.steps(10)
        assert all(call.finished for call in calls), "who left keeps no place"
        await at.assert_empty()


async def test_forms_that_take_long_to_compile_keep_no_other_prompt_from_being_rendered() -> None:
    async with real() as at:
        slow = [at.ask(10, 2, form=1) for _ in range(6)]  # more than there are places
        await settle()
        other = at.ask(10, 2)
        await settle()
        await at.steps(3)
        await other.end()
        assert other.status == 200
        assert not any(call.sent for call in slow)
        at.app.compiles.set()
        await settle()
        await at.steps(3)
        for call in slow:
            await call.end()
            assert call.status == 200
        await at.assert_empty()
