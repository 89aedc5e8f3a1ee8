"""CORS: which web pages may read the gateway's answers, and which of their headers."""

from argparse import Namespace

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

# Headers that a page may read besides those that browsers always show.
EXPOSED = (
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-request-id",
    "x-sluice-reason",
    "x-sluice-config",
    "x-sluice-queued-ms",
    "server-timing",
    *(
        f"x-ratelimit-{what}-{unit}"
        for what in ("limit", "remaining", "reset")
        for unit in ("requests", "tokens")
    ),
)


def with_cors(app: ASGIApp, args: Namespace) -> ASGIApp:
    """`app` for the pages that vLLM's `allowed_origins` lets in; outermost, so on every answer.

    Without CORS headers on refusals a page would see a network error in their place.
    """
    if not args.allowed_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=args.allowed_origins,
        allow_credentials=args.allow_credentials,
        allow_methods=args.allowed_methods,
        allow_headers=args.allowed_headers,
        expose_headers=EXPOSED,
    )
