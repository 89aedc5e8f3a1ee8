"""ASGI middleware around Ray Serve's own HTTP code, in its proxy and in its replicas."""

import os

import ray
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.http.server.no_replica import NoReplica

_NO_LISTENING = (b"x-request-disconnect-disabled", b"?1")  # Ray Serve 2.60's name for it
# Serve 2.60 ends a request by the first of these and routes by the others, underscores included.
_FOR_SERVE = frozenset(
    {
        b"x_request_timeout_seconds",
        b"x_request_disconnect_disabled",
        b"serve_multiplexed_model_id",
    }
)


def middlewares() -> list[Middleware]:
    """For RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH; Ray calls it in proxies and in replicas.

    Without HAProxy the proxy is the front and must pass everything.
    """
    actor = ray.get_runtime_context().get_actor_name() or ""
    if actor.startswith("SERVE_REPLICA"):
        return [Middleware(WithoutServesListening)]
    behind_haproxy = os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
    if behind_haproxy and actor.startswith("SERVE_PROXY_ACTOR"):
        return [Middleware(NoReplica)]
    return []


class WithoutServesListening:
    """Keeps Serve in a replica from acting on a request's headers and disconnect.

    Our own edge listens for the disconnect. Serve would run two more tasks per request for it, and
    cancel ours in the middle of its clean-up. Headers for Serve are removed, and so are headers
    that it cannot decode: it would answer 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            readable = [(name, value) for name, value in scope["headers"] if _is_ours(name, value)]
            scope["headers"] = [*readable, _NO_LISTENING]
        await self._app(scope, receive, send)


def _is_ours(name: bytes, value: bytes) -> bool:
    """False for a header that Serve acts on or cannot decode."""
    try:
        name.decode()
        value.decode()
    except UnicodeDecodeError:
        return False
    return name.lower().replace(b"-", b"_") not in _FOR_SERVE
