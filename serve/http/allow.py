"""The allow-list: every way in, by exact method and path. What is not here does not exist."""

from dataclasses import dataclass
from enum import StrEnum

from serve.visit import Family


class Kind(StrEnum):
    """Who answers a route."""

    GENERATION = "generation"  # vLLM, with a lease
    ENGINE = "engine"  # vLLM, without: nothing is generated
    OURS = "ours"  # serve/http/routes.py


class Access(StrEnum):
    """Who may call a route once keys are configured."""

    OPEN = "open"
    KEY = "key"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Route:
    """One way in."""

    method: str
    path: str
    kind: Kind
    access: Access = Access.KEY


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/chat/completions", Kind.GENERATION),
    Route("POST", "/v1/completions", Kind.GENERATION),
    Route("POST", "/v1/responses", Kind.GENERATION),
    Route("POST", "/v1/messages", Kind.GENERATION),
    Route("GET", "/v1/models", Kind.ENGINE),
    Route("POST", "/tokenize", Kind.ENGINE),
    Route("POST", "/detokenize", Kind.ENGINE),
    # Balancers and judges ask without a key, and the answer is one word.
    Route("GET", "/health", Kind.OURS, Access.OPEN),
    # These say what runs here and how much: not for strangers.
    Route("GET", "/version", Kind.OURS),
    Route("GET", "/metrics", Kind.OURS),
    Route("POST", "/v1/admission/explain", Kind.OURS),
    # State names other tenants; drain takes the service away; settings and keys are its rules.
    Route("GET", "/v1/admission/state", Kind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/steps", Kind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/shadow", Kind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/drain", Kind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/resume", Kind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/settings", Kind.OURS, Access.ADMIN),
    Route("PUT", "/v1/admission/settings", Kind.OURS, Access.ADMIN),
    Route("GET", "/v1/admission/settings/history", Kind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/settings/rollback", Kind.OURS, Access.ADMIN),
    Route("POST", "/v1/admission/keys/reload", Kind.OURS, Access.ADMIN),
)

_BY_METHOD_AND_PATH = {(route.method, route.path): route for route in ROUTES}
METHODS_WITH_BODY = ("POST", "PUT")
GENERATION_PATHS = frozenset(r.path for r in ROUTES if r.kind is Kind.GENERATION)


def find(method: str, path: str) -> Route | None:
    """The route, or None: not on the list. HEAD is a GET whose body the server leaves out."""
    return _BY_METHOD_AND_PATH.get(("GET" if method == "HEAD" else method, path))


def methods_of(path: str) -> list[str]:
    """What OPTIONS answers for `path`; empty where nothing is."""
    methods = [route.method for route in ROUTES if route.path == path]
    return [*methods, *(["HEAD"] if "GET" in methods else []), *(["OPTIONS"] if methods else [])]


def family_of(path: str) -> Family:
    """Whose error shape a path speaks, known or not."""
    anthropic = path == "/v1/messages" or path.startswith("/v1/messages/")
    return Family.ANTHROPIC if anthropic else Family.OPENAI
