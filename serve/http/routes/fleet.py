"""Our own routes for all replicas of a gateway, whichever of them a request reaches.

With one replica every route answers as it is. With several, what an operator reads or changes is
asked of all of them: each answers for itself, under its name, and who did not answer is named.
`?replica=NAME` asks one.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from serve.http.allow import Route
from serve.http.problems import Problem, error
from serve.http.routes.exchange import OwnRequest, OwnResponse, json_response
from serve.http.routes.exposition import merged
from serve.http.routes.peers_like import PeersLike, Told
from serve.visit import ApiFamily

_KNOWN_MAX = 256  # names of replicas that have answered once

_READ = {
    ("GET", "/v1/admission/state"),
    ("GET", "/v1/admission/steps"),
    ("GET", "/v1/admission/shadow"),
    ("GET", "/v1/admission/settings/history"),
    ("POST", "/v1/admission/explain"),
}
_DONE = {("POST", "/v1/admission/drain"), ("POST", "/v1/admission/resume")}
_CHANGED = {
    ("PUT", "/v1/admission/settings"),
    ("POST", "/v1/admission/settings/rollback"),
    ("POST", "/v1/admission/keys/reload"),
}
_SETTINGS = ("GET", "/v1/admission/settings")
_METRICS = ("GET", "/metrics")
_OF_ALL = _READ | _DONE | _CHANGED | {_METRICS, _SETTINGS}

# What the sums of a fleet are made of: by name, its place in a replica's state.
_SUMMED: Mapping[str, tuple[str, ...]] = {
    "leases": ("leases",),
    "sequences": ("sequences", "held"),
    "sequences_limit": ("sequences", "limit"),
    "kv_capacity_blocks": ("kv", "capacity_blocks"),
    "kv_held_blocks": ("kv", "held_blocks"),
    "prefill_backlog_tokens": ("prefill_backlog_tokens",),
    "queue_requests": ("queue", "requests"),
    "queue_tokens": ("queue", "tokens"),
}


class RoutesLike(Protocol):
    """The routes of one replica."""

    async def answer(self, route: Route, question: OwnRequest) -> OwnResponse | Problem:
        """The answer of one route."""
        ...


class FleetRoutes:
    """`routes` are this replica's, `name` tells what it is called."""

    def __init__(self, routes: RoutesLike, peers: PeersLike, name: Callable[[], str]) -> None:
        self._routes = routes
        self._peers = peers
        self._name = name
        self._known: dict[str, None] = {}  # in the order in which they last answered

    async def answer(self, route: Route, question: OwnRequest) -> OwnResponse | Problem:
        """Of this replica, of the one that is asked for, or of all."""
        key = (route.method, route.path)
        asked = parse_qs(question.query).get("replica", [None])[0]
        alone = self._peers.count <= 1 and asked is None
        if key not in _OF_ALL or alone or asked == self._name():
            return await self._routes.answer(route, question)
        if asked is None and key in _CHANGED:
            problem = await self._divided(question)
            if problem is not None:
                return problem
        told = await self._ask(key, question, asked)
        if asked is not None:
            return told.get(asked) or _unknown(asked, sorted({self._name(), *self._known}))
        if not told and key in _CHANGED:
            return _unheard()
        if not told:
            told = {self._name(): await self._routes.answer(route, question)}
        return self._of_all(key, told)

    async def _ask(
        self, key: tuple[str, str], question: OwnRequest, only: str | None = None
    ) -> Told:
        told = await self._peers.ask(*key, question, only)
        for name in told:
            self._known.pop(name, None)
            self._known[name] = None
        while len(self._known) > _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return told

    async def _divided(self, question: OwnRequest) -> Problem | None:
        """A change reaches all replicas, which hold the same settings before it, or none."""
        told = await self._ask(_SETTINGS, question)
        missing = self._missing(told)
        if missing["count"]:
            message = (
                f"{missing['count']} of {self._peers.count} replicas do not answer, and a change "
                "is made in all or in none. Nothing was changed; try again."
            )
            return error(503, message, ApiFamily.OPENAI, code="replicas_missing")
        tags = {page.etag for page in told.values() if isinstance(page, OwnResponse)}
        if len(tags) > 1:
            message = (
                "The replicas hold different settings. Send SIGHUP to `sluice serve`, or change "
                "each with ?replica=NAME; GET /v1/admission/state names them."
            )
            return error(409, message, ApiFamily.OPENAI, code="settings_differ")
        return None

    def _of_all(self, key: tuple[str, str], told: Told) -> OwnResponse | Problem:
        if key == _METRICS:
            return merged({n: page for n, page in told.items() if isinstance(page, OwnResponse)})
        problem = next((page for page in told.values() if isinstance(page, Problem)), None)
        if problem is not None and key not in _DONE:
            return problem
        if key == _SETTINGS:
            return told[self._name()] if self._name() in told else next(iter(told.values()))
        replicas = {name: json.loads(page.body) for name, page in told.items()}
        document: dict[str, Any] = {"replicas": replicas, "missing": self._missing(told)}
        if key == ("GET", "/v1/admission/state"):
            document = {"fleet": _sums(replicas)} | document
        if key in _DONE | _CHANGED:
            document = _shared(replicas) | document
        status = max(page.status for page in told.values())
        etag = next((p.etag for p in told.values() if isinstance(p, OwnResponse) and p.etag), None)
        return json_response(document, status=status, etag=etag)

    def _missing(self, told: Told) -> dict[str, Any]:
        """How many did not answer, and the names of as many that once did, the latest first."""
        count = max(0, self._peers.count - len(told))
        names = [name for name in reversed(self._known) if name not in told]
        return {"count": count, "replicas": names[:count]}


def _sums(replicas: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    sums = {"replicas": len(replicas)}
    for name, place in _SUMMED.items():
        sums[name] = 0
        for state in replicas.values():
            value: Any = state
            for key in place:
                value = value[key]
            sums[name] += value
    return sums


def _shared(replicas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What all replicas say alike, but for their names."""
    first, *others = replicas.values()
    return {
        key: value
        for key, value in first.items()
        if key != "replica" and all(other.get(key) == value for other in others)
    }


def _unheard() -> Problem:
    message = (
        "The replicas were asked to make the change and did not answer in time. "
        "GET /v1/admission/state says what holds in each."
    )
    return error(503, message, ApiFamily.OPENAI, code="replicas_missing")


def _unknown(asked: str | None, names: list[str]) -> Problem:
    message = f"No replica {asked!r} answers; known are {', '.join(names)}."
    return error(400, message, ApiFamily.OPENAI, param="replica")
