"""The allow-list: every route, by method and path. All other paths are answered 404."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from serve.visit import ApiFamily


class RouteKind(StrEnum):
    """What answers a route."""

    GENERATION = "generation"  # vLLM, with a lease
    ENGINE = "engine"  # vLLM, without: nothing is generated
    OURS = "ours"  # serve/http/routes/own.py


class Access(StrEnum):
    """Which callers a route accepts once keys are configured."""

    OPEN = "open"
    KEY = "key"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the gateway."""

    method: str
    path: str
    kind: RouteKind
    access: Access = Access.KEY


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/chat/completions", RouteKind.GENERATION),
    Route("POST", "/v1/completions", RouteKind.GENERATION),
    Route("POST", "/v1/responses", RouteKind.GENERATION),
    Route("POST", "/v1/messages", RouteKind.GENERATION),
    Route("POST", "/v1/messages/count_tokens", RouteKind.ENGINE),
    Route("GET", "/v1/models", RouteKind.OURS),
    Route("GET", "/v1/models/{id}", RouteKind.OURS),
    Route("POST", "/tokenize", RouteKind.ENGINE),
    Route("POST", "/detokenize", RouteKind.ENGINE),
    # Load balancers ask without a key, and the answer is one word.
    Route("GET", "/health", RouteKind.OURS, Access.OPEN),
    # These say what runs here and how much: keys are needed.
    Route("GET", "/version", RouteKind.OURS),
    Route("GET", "/metrics", RouteKind.OURS),
    Route("POST", "/v1/admission/explain", RouteKind.OURS),
    # State names other tenants; drain takes the service away; settings and keys are its rules.
    Route("GET", "/v1/admission/state", RouteKind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/steps", RouteKind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/shadow", RouteKind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/drain", RouteKind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/resume", RouteKind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/settings", RouteKind.OURS, Access.ADMIN),
    Route("PUT", "/v1/admission/settings", RouteKind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/settings/history", RouteKind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/settings/rollback", RouteKind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/keys/reload", RouteKind.OURS, Access.ADMIN),
)

_BY_METHOD_AND_PATH = {(route.method, route.path): route for route in ROUTES}
_SLASHES = re.compile("/{2,}")
_MODEL = "/v1/models/"
METHODS_WITH_BODY = ("POST", "PUT")
GENERATION_PATHS = frozenset(r.path for r in ROUTES if r.kind is RouteKind.GENERATION)


def plain(path: str) -> str:
    """`path` without the slashes that clients add: at its end, and doubled after a base URL."""
    return _SLASHES.sub("/", path).rstrip("/") or "/"


def find(method: str, path: str) -> Route | None:
    """The route, or None: not on the list. HEAD counts as GET; the server leaves the body out."""
    return _BY_METHOD_AND_PATH.get(("GET" if method == "HEAD" else method, _listed(path)))


def methods_of(path: str) -> list[str]:
    """What OPTIONS answers for `path`; empty for an unknown path."""
    methods = [route.method for route in ROUTES if route.path == _listed(path)]
    return [*methods, *(["HEAD"] if "GET" in methods else []), *(["OPTIONS"] if methods else [])]


def model_in(path: str) -> str:
    """The model that a path under `/v1/models` names, slashes included; empty if it names none."""
    return path[len(_MODEL) :] if path.startswith(_MODEL) else ""


def family_of(path: str, headers: Mapping[str, str] | None = None) -> ApiFamily:
    """The API whose shapes a path uses, known or not; `/v1/models` serves both, by header."""
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return ApiFamily.ANTHROPIC
    asks_for_models = path == "/v1/models" or path.startswith(_MODEL)
    if asks_for_models and headers is not None and "anthropic-version" in headers:
        return ApiFamily.ANTHROPIC
    return ApiFamily.OPENAI


def _listed(path: str) -> str:
    return "/v1/models/{id}" if model_in(path) else path
