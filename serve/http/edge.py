"""The outermost ASGI layer: which requests may enter, by which route, and with what body."""

import json
import logging
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from admission.terms.decision import Outcome
from serve.access.tenants import Keys
from serve.http import allow
from serve.http.allow import Access, Route, RouteKind
from serve.http.connection import ClientConnection
from serve.http.gate_like import GateLike
from serve.http.http_request import HttpRequest
from serve.http.lifecycle import GRACE_S, Lifecycle
from serve.http.problems import Problem, error
from serve.http.request.intake import (
    Body,
    check_headers,
    decode_body,
    headers_of,
    parse_body,
    prompt_chars,
    read_body,
    slo_ttft_ms,
)
from serve.http.request.replayed import complete
from serve.http.request.rules import Rules
from serve.http.request.scrub import (
    engine_id_for,
    request_id_of,
    salt_cache,
    scrub_body,
    scrub_headers,
    unsupported,
)
from serve.http.response.access_log import access_line, worth_a_line
from serve.http.response.reply import Reply
from serve.http.routes.exchange import OwnRequest
from serve.http.routes.fleet import RoutesLike
from serve.observability.metric_table import DECISIONS
from serve.observability.telemetry import Telemetry
from serve.profile.access_section import AccessSection
from serve.profile.sections import HttpSection
from serve.visit import REQUEST_ID, Visit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the gateway accepts: keys, rules and limits."""

    limits: HttpSection
    access: AccessSection
    keys: Keys


class Edge:
    """ASGI app around vLLM's; the only way in. Every answer of the gateway passes it.

    `echo_request_id` stays off behind Ray Serve, whose own layer puts `x-request-id` on every
    answer: a second one would reach clients as "a, a".
    """

    def __init__(  # noqa: PLR0913 - everything it connects, each named once
        self,
        inner: ASGIApp,
        gate: GateLike,
        terms: Terms,
        telemetry: Telemetry,
        routes: RoutesLike,
        *,
        echo_request_id: bool = False,
        grace_s: float = GRACE_S,
    ) -> None:
        self._inner = inner
        self._gate = gate
        self._terms = terms
        self._telemetry = telemetry
        self._rules = Rules(terms.access.rules)
        self._echo_request_id = echo_request_id
        self._routes = routes
        self._lifecycle = Lifecycle(inner, gate, telemetry.tracing, grace_s=grace_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Answers every HTTP request; refuses WebSockets; passes lifespan on."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})  # policy violation

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call_of(scope)
        REQUEST_ID.set(call.request_id)  # the server runs each request in a context of its own
        caller = ClientConnection(receive)
        reply = Reply(send, caller, call, self._gate, echo_request_id=self._echo_request_id)
        try:
            problem = self._may_enter(call, scope) or await self._walk(call, caller, reply, scope)
            if problem is not None:
                await reply.problem(problem)
        except Exception:
            _log.exception("Request %s failed at the edge", call.request_id)
            if reply.started:
                raise  # the server cuts the connection: the client sees an incomplete answer
            await reply.failed()
        finally:
            if self._telemetry.access_log is not None and worth_a_line(call):
                line = access_line(call, ended_at_s=self._gate.now_s())
                self._telemetry.access_log.write(line)

    def _call_of(self, scope: Scope) -> HttpRequest:
        headers, path = headers_of(scope["headers"]), allow.plain(scope["path"])
        return HttpRequest(
            request_id=request_id_of(headers),
            method=scope["method"],
            path=path,
            family=allow.family_of(path, headers),
            headers=headers,
            arrived_at_s=self._gate.now_s(),
            route=allow.find(scope["method"], path),
        )

    def _may_enter(self, call: HttpRequest, scope: Scope) -> Problem | None:
        """Checks headers, route and key."""
        too_large = check_headers(scope["headers"], self._terms.limits, call.family)
        if too_large is not None:
            return too_large
        if call.method == "OPTIONS" and allow.methods_of(call.path):
            return None  # OPTIONS: browsers send it without a key
        if call.route is None:
            return error(404, f"There is no {call.method} {call.path} here.", call.family)
        return None if call.route.access is Access.OPEN else self._identify(call, call.route)

    def _identify(self, call: HttpRequest, route: Route) -> Problem | None:
        """Finds the tenant of the request's API key."""
        tenant = self._terms.keys.identify(call.headers)
        if tenant is None:
            message = "Missing or unknown API key. Send it as `Authorization: Bearer KEY`."
            return error(401, message, call.family)
        call.tenant = tenant
        if route.access is Access.ADMIN and not tenant.admin:
            return error(403, "This needs the API key of an administrator.", call.family)
        return None

    async def _walk(
        self, call: HttpRequest, caller: ClientConnection, reply: Reply, scope: Scope
    ) -> Problem | None:
        """Everything after `_may_enter`; returns a problem if one has to be answered."""
        if call.route is None:
            methods = ", ".join(allow.methods_of(call.path))
            await reply.whole(200, [(b"allow", methods.encode())], b"")
            return None
        text = await self._text_of(call, caller)
        if isinstance(text, Problem):
            return text
        if caller.has_left:
            return None
        problem = self._make_visit(call) if call.route.kind is RouteKind.GENERATION else None
        if problem is None and call.visit is not None and self._gate.late(call.visit):
            await self._lifecycle.refuse(call, reply)
            return None
        return problem or await self._further(call, caller, reply, scope, text)

    async def _further(
        self, call: HttpRequest, caller: ClientConnection, reply: Reply, scope: Scope, text: bytes
    ) -> Problem | None:
        """The rest, once the body has been read and the request is not refused outright."""
        text_or_problem = await decode_body(text, scope["headers"], self._terms.limits, call.family)
        if isinstance(text_or_problem, Problem):
            return text_or_problem
        body = self._body_of(call, text_or_problem)
        if isinstance(body, Problem):
            return body
        if call.route is not None and call.route.kind is RouteKind.OURS:
            return await self._ours(call, reply, scope, call.route, body)
        if call.visit is not None:
            call.visit.tenant, _ = self._rules.apply(call.tenant, call.headers, body.fields)
            self._check_fields(call.visit, body)
        await self._to_app(call, caller, reply, scope, body)
        return None

    async def _ours(
        self, call: HttpRequest, reply: Reply, scope: Scope, route: Route, body: Body
    ) -> Problem | None:
        tenant, rules = call.tenant, tuple[str, ...]()
        requested_ms: float | None = None
        if call.path == "/v1/admission/explain":
            asked = slo_ttft_ms(call.headers, call.family)
            if isinstance(asked, Problem):
                return asked
            requested_ms = asked
            tenant, rules = self._rules.apply(call.tenant, call.headers, body.fields)
        question = OwnRequest(
            tenant=tenant,
            rules=rules,
            slo_ttft_ms=requested_ms,
            family=call.family,
            path=call.path,
            query=scope["query_string"].decode("latin-1"),
            accept=call.headers.get("accept", ""),
            body=body.fields,
            text=body.text,
            if_match=call.headers.get("if-match"),
        )
        page = await self._routes.answer(route, question)
        await reply.whole(page.status, page.headers, page.body)
        return None

    async def _text_of(self, call: HttpRequest, caller: ClientConnection) -> bytes | Problem:
        if call.method not in allow.METHODS_WITH_BODY:
            return b""
        declared = call.headers.get("content-length")
        return await read_body(caller, declared, self._terms.limits, call.family)

    def _body_of(self, call: HttpRequest, text: bytes) -> Body | Problem:
        if call.method not in allow.METHODS_WITH_BODY:
            return Body()
        ours = call.route is not None and call.route.kind is RouteKind.OURS
        if ours and not text and call.method == "POST":
            return Body()  # drain takes no body; an empty PUT is a mistake
        fields = parse_body(text, self._terms.limits, call.family)
        return fields if isinstance(fields, Problem) else Body(text, fields)

    def _check_fields(self, visit: Visit, body: Body) -> None:
        """Refuses a body with a field that cannot be priced."""
        visit.verdict = unsupported(body.fields, visit.route)
        if visit.verdict is not None:
            self._telemetry.metrics.count(DECISIONS, Outcome.REJECTED, visit.verdict.reason)

    def _make_visit(self, call: HttpRequest) -> Problem | None:
        """Puts the visit on `call`."""
        requested_ms = slo_ttft_ms(call.headers, call.family)
        if isinstance(requested_ms, Problem):
            return requested_ms
        tenant, _ = self._rules.apply(call.tenant, call.headers, {})
        call.visit = Visit(
            request_id=call.request_id,
            tenant=tenant,
            route=call.path,
            family=call.family,
            deadline_s=self._gate.deadline_s(requested_ms),
            arrived_at_s=call.arrived_at_s,
            run=call.headers.get("x-sluice-run"),
        )
        return None

    async def _to_app(
        self, call: HttpRequest, caller: ClientConnection, reply: Reply, scope: Scope, body: Body
    ) -> None:
        """Gives the app the scrubbed request; a body with nothing to scrub is passed unchanged."""
        changed = scrub_body(body.fields) | complete(body.fields, call.path)
        if call.visit is not None and self._terms.access.isolate_prefix_cache:
            salt_cache(body.fields, call.visit.tenant.name)
            changed = True
        text = json.dumps(body.fields).encode() if changed else body.text
        caller.give_app(text)
        headers = scrub_headers(
            scope["headers"], request_id=engine_id_for(call.request_id), body_bytes=len(text)
        )
        inner = {**scope, "path": call.path, "headers": headers}
        call.body = body.fields
        chars = prompt_chars(body.fields)
        await self._lifecycle.run(call, caller, reply, inner, body_chars=chars)
