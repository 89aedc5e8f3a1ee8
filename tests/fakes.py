"""Small stand-ins for what the edge stands between: a gate, vLLM's app, and an HTTP server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admission.queue.budgets import Standing
from admission.terms.decision import Rejected
from serve.access.key_ring import KeyRing
from serve.access.tenants import Keys
from serve.http.allow import find
from serve.http.edge import Edge, Terms
from serve.http.routes.exchange import OwnRequest
from serve.http.routes.fleet import FleetRoutes
from serve.http.routes.own import Routes
from serve.http.routes.peers_like import Alone, PeersLike, Told
from serve.observability.metrics import Metrics
from serve.observability.telemetry import Telemetry
from serve.observability.tracing import Tracing
from serve.operations import Changing, Operations
from serve.profile.access_section import AccessSection
from serve.profile.history import History
from serve.profile.in_force import InForce
from serve.profile.sections import HttpSection
from serve.profile.settings import AdmissionSection
from serve.visit import VISIT, Tenant, Visit

TURNS = 50  # of the event loop: more than any path here takes to settle


async def settle() -> None:
    """Lets everything run that can run without time passing."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def model_entry(name: str) -> dict[str, Any]:
    """As vLLM tells a model."""
    return {
        "id": name,
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "vllm",
        "max_model_len": 4096,
    }


class FakeGate:
    """A gate with one rule: `room` open means accepted, closed means queued."""

    def __init__(self) -> None:
        self.healthy = True
        self.draining = False
        self.ending = False
        self.replica = "01234567"
        self.sections: list[AdmissionSection] = []  # as they were applied
        self.told: dict[str, Any] = {}  # what the state has besides
        self.clock_s = 100.0
        self.lateness: Rejected | None = None  # what is known before the body is parsed
        self.crowded: Rejected | None = None  # what place answers
        self.refusal: Rejected | None = None  # what precheck answers
        self.verdict: Rejected | None = None  # what admit answers
        self.prechecked: list[tuple[Visit, int]] = []
        self.waiting: set[Visit] = set()
        self.held: set[Visit] = set()
        self.rendered_beside = 0  # without a visit
        self.left: list[Visit] = []
        self.room = asyncio.Event()
        self.room.set()
        self.known_prefill_s: float | None = None
        self.body_fault: str | None = None
        self.budgets: Standing | None = None
        self.overdue: Rejected | None = None  # the verdict on a request that is overdue now
        self.overdue_in: float | None = None  # seconds until the edge asks again

    def now_s(self) -> float:
        return self.clock_s

    def deadline_s(self, requested_ms: float | None) -> float:
        return 30.0 if requested_ms is None else min(requested_ms / 1000, 120.0)

    def late(self, visit: Visit) -> bool:
        visit.verdict = self.lateness
        return self.lateness is not None

    def precheck(self, visit: Visit, body_chars: int) -> Rejected | None:
        self.prechecked.append((visit, body_chars))
        return self.refusal

    async def place(self, visit: Visit, left: asyncio.Future[None]) -> bool:
        visit.verdict = self.crowded
        return self.crowded is None

    @asynccontextmanager
    async def rendering(self, left: asyncio.Future[None]) -> AsyncIterator[bool]:
        self.rendered_beside += 1
        yield not left.done()

    async def admit(self, visit: Visit) -> bool:
        """What the render hook asks; False leaves the verdict on the visit."""
        visit.verdict = self.verdict
        if visit.verdict is not None:
            return False
        self.waiting.add(visit)
        try:
            await self.room.wait()
        finally:
            self.waiting.discard(visit)
        visit.lease_id = len(self.held) + 1
        self.held.add(visit)
        return True

    async def leave(self, visit: Visit) -> None:
        await asyncio.sleep(0)  # the real one waits for the engine
        self.left.append(visit)
        self.held.discard(visit)

    def prefill_s(self, visit: Visit) -> float | None:
        return self.known_prefill_s

    def overdue_in_s(self, visit: Visit) -> float | None:
        return self.overdue_in if self.overdue is None else 0.0

    def cut_off(self, visit: Visit) -> Rejected:
        assert self.overdue is not None
        visit.verdict = self.overdue
        return self.overdue

    def standing(self, tenant: Tenant) -> Standing | None:
        return self.budgets

    def settings_hash(self) -> str:
        return "0123456789ab"

    def steps(self) -> dict[str, Any]:
        return {"columns": [], "rows": []}

    def shadow(self) -> dict[str, Any]:
        return {"requests": 0}

    def state(self) -> dict[str, Any]:
        return {"leases": len(self.held)} | self.told

    async def explain(
        self,
        route: str,
        body: dict[str, Any],
        tenant: Tenant,
        requested_ms: float | None = None,
    ) -> dict[str, Any]:
        if "model" not in body:
            raise ValueError("model is missing")
        asked = {} if requested_ms is None else {"requested_ms": requested_ms}
        return {"route": route, "tenant": tenant.name, **asked}

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        return self.body_fault

    async def models(self) -> list[dict[str, Any]]:
        return [model_entry("m"), model_entry("org/name")]

    def drain(self) -> None:
        self.draining = True

    def resume(self) -> bool:
        self.draining = self.ending
        return not self.ending

    def reconfigure(self, section: AdmissionSection) -> None:
        self.sections.append(section)


class Admitting(Protocol):
    """What FakeEngineApp asks of a gate."""

    async def admit(self, visit: Visit) -> bool: ...


class FakeEngineApp:
    """vLLM's app in little: renders, asks the gate, generates token by token, hears disconnects.

    `script` runs with `send` in place of the generation; `tokens` opens once per token.
    `deaf` ignores the disconnect, as a handler does whose decorator was cancelled.
    """

    def __init__(self, gate: Admitting) -> None:
        self.gate = gate
        self.deaf = False
        self.script: Callable[[Send], Awaitable[None]] | None = None
        self.tokens = asyncio.Semaphore(0)
        self.bodies: list[bytes] = []
        self.scopes: list[Scope] = []
        self.visits: list[Visit | None] = []
        self.running = 0
        self.ran_to_the_end = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            return
        self.scopes.append(scope)
        self.visits.append(VISIT.get())
        self.bodies.append((await receive())["body"] if scope["method"] == "POST" else b"")
        self.running += 1
        try:
            await self._until_disconnect(self._generate(send), receive)
        finally:
            self.running -= 1

    async def _until_disconnect(self, work: Any, receive: Receive) -> None:
        if self.deaf:
            await work
            return
        task = asyncio.ensure_future(work)
        listener = asyncio.ensure_future(receive())
        await asyncio.wait({task, listener}, return_when=asyncio.FIRST_COMPLETED)
        listener.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def _generate(self, send: Send) -> None:
        visit = VISIT.get()
        if visit is not None and not await self.gate.admit(visit):
            await send(start(429))
            await send(body(b'{"error": {"message": "vLLM says no", "code": 429}}'))
            return
        if self.script is not None:
            await self.script(send)
            return
        await send(start(200, (b"content-type", b"text/event-stream")))
        for number in range(3):
            await self.tokens.acquire()
            await send(body(b"data: %d\n\n" % number, more=True))
        await send(body(b"data: [DONE]\n\n"))
        self.ran_to_the_end += 1


def start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    """The message that opens an answer."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> Message:
    """One message of an answer's body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def json_answer(status: int, document: object) -> Callable[[Send], Awaitable[None]]:
    """A script for FakeEngineApp: one whole JSON answer."""

    async def script(send: Send) -> None:
        await send(start(status, (b"content-type", b"application/json")))
        await send(body(json.dumps(document).encode()))

    return script


@dataclass
class Exchange:
    """One HTTP exchange as an ASGI server sees it: what was sent in, what came out."""

    method: str = "POST"
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    incoming: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    sent: list[Message] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def begin(self, app: ASGIApp) -> "Exchange":
        """Calls the app as a server does: in a task of its own."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": self.method,
            "path": self.path,
            "query_string": self.query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in self.headers.items()],
        }
        self.task = asyncio.create_task(app(scope, self.incoming.get, self._take))
        return self

    def give(self, data: bytes, *, more: bool = False) -> None:
        """One piece of the body arrives."""
        self.incoming.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def disconnect(self) -> None:
        """The client hangs up."""
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def end(self) -> None:
        """Waits until the app has returned; raises what it raised."""
        assert self.task is not None
        async with asyncio.timeout(5):  # a test that hangs fails here
            await self.task

    async def _take(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        """None until the answer began."""
        return self.sent[0]["status"] if self.sent else None

    @property
    def answer_headers(self) -> dict[str, str]:
        """Of the answer; fails when one name comes twice."""
        pairs = [(k.decode(), v.decode()) for k, v in self.sent[0]["headers"]]
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    @property
    def answer_body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def answer_json(self) -> Any:
        return json.loads(self.answer_body)

    @property
    def finished(self) -> bool:
        """True when the last message said so."""
        return len(self.sent) > 1 and not self.sent[-1].get("more_body", False)


class Lines(list[Mapping[str, Any]]):
    """An access log that keeps its lines."""

    def write(self, line: Mapping[str, Any]) -> None:
        self.append(line)

    def close(self) -> None:
        pass


@dataclass
class House:
    """An edge with fakes on all sides."""

    gate: FakeGate
    app: FakeEngineApp
    edge: Edge
    log: Lines
    registry: CollectorRegistry
    operations: Operations
    routes: Routes  # of this replica alone

    async def ask(
        self,
        path: str = "/v1/chat/completions",
        document: object = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        query: str = "",
    ) -> Exchange:
        """A whole exchange; three tokens are there to be had."""
        for _ in range(3):
            self.app.tokens.release()
        exchange = self.open(path, document, method=method, headers=headers, raw=raw, query=query)
        await exchange.end()
        return exchange

    def open(
        self,
        path: str = "/v1/chat/completions",
        document: object = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        query: str = "",
    ) -> Exchange:
        """An exchange whose body is there and whose answer may take its time."""
        exchange = Exchange(method, path, headers or {}, query)
        chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        exchange.give(raw if raw is not None else json.dumps(document or chat).encode())
        return exchange.begin(self.edge)


def operations_of(gate: Changing, metrics: Metrics, ring: KeyRing | None = None) -> Operations:
    """Settings of a first start with every default, kept in memory alone."""
    in_force = InForce(AdmissionSection(), History())
    in_force.offer(AdmissionSection().mapping())
    ring = ring or KeyRing(AccessSection(), Keys())
    return Operations(gate, in_force, ring, metrics)


class FakePeers:
    """The replicas of one gateway; those in `silent` do not answer."""

    def __init__(self) -> None:
        self.houses: list[House] = []
        self.silent: set[str] = set()

    @property
    def count(self) -> int:
        return len(self.houses)

    async def ask(
        self, method: str, path: str, question: OwnRequest, only: str | None = None
    ) -> Told:
        route = find(method, path)
        assert route is not None
        return {
            each.gate.replica: await each.routes.answer(route, question)
            for each in self.houses
            if each.gate.replica not in self.silent and only in (None, each.gate.replica)
        }


def fleet(names: str, **parts: Any) -> FakePeers:
    """Replicas of one gateway, named by a letter each; call it inside a running loop."""
    peers = FakePeers()
    for name in names:
        made = house(peers=peers, **parts)
        made.gate.replica = name
        peers.houses.append(made)
    return peers


def house(  # noqa: PLR0913 - what a test may set, each named once
    *,
    limits: HttpSection | None = None,
    access: AccessSection | None = None,
    keys: Keys | None = None,
    tracing: Tracing | None = None,
    echo_request_id: bool = True,
    grace_s: float = 5.0,
    peers: PeersLike | None = None,
) -> House:
    """Builds it; call it inside a running loop. Nothing here waits for `grace_s` unless deaf."""
    gate, log, registry = FakeGate(), Lines(), CollectorRegistry()
    app, metrics = FakeEngineApp(gate), Metrics(registry)
    access, keys = access or AccessSection(), keys or Keys()
    operations = operations_of(gate, metrics, KeyRing(access, keys))
    routes = Routes(gate, operations, registry=registry)
    edge = Edge(
        app,
        gate,
        Terms(limits or HttpSection(), access, keys),
        Telemetry(metrics, tracing or Tracing(), log),
        FleetRoutes(routes, peers or Alone(), lambda: gate.replica),
        echo_request_id=echo_request_id,
        grace_s=grace_s,
    )
    return House(gate, app, edge, log, registry, operations, routes)
