"""Every way into vLLM's app is known: opened on our allow-list or deliberately left closed."""

import pytest

from serve.http.allow import ROUTES, RouteKind

# Looked at and left closed in 0.32: they generate without a price, administrate, or give away.
CLOSED = {
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/oauth2-redirect"),
    ("GET", "/redoc"),
    ("GET", "/load"),
    ("GET", "/kv_event_sources"),
    ("GET", "/ping"),
    ("POST", "/ping"),
    ("POST", "/invocations"),
    ("POST", "/v1/systemone"),
    ("POST", "/v1/chat/completions/batch"),
    ("GET", "/v1/responses/{response_id}"),
    ("POST", "/v1/responses/{response_id}/cancel"),
    ("POST", "/generative_scoring"),
    ("POST", "/scale_elastic_ep"),
    ("POST", "/is_scaling_elastic_ep"),
    ("POST", "/v1/chat/completions/render"),
    ("POST", "/v1/messages/render"),
    ("POST", "/v1/completions/render"),
    ("POST", "/v1/responses/render"),
    ("POST", "/v1/chat/completions/derender"),
    ("POST", "/v1/completions/derender"),
    ("POST", "/inference/v1/generate"),
    ("POST", "/inference/v1/abort_requests"),
}
# vLLM's answers to these are replaced by ours.
REPLACED = {("GET", path) for path in ("/health", "/version", "/metrics", "/v1/models")}


def routes_of_vllm() -> set[tuple[str, str]]:
    """Method and path of each route; a mount counts as GET."""
    # imported here: it takes seconds and warns of its own
    from vllm.entrypoints.launchers.app import build_app  # noqa: PLC0415

    from serve.engine.arguments import parse_arguments  # noqa: PLC0415

    app = build_app(parse_arguments({"model": "any"}, {}), ("generate",))
    return {
        (method, route.path)
        for route in app.routes
        for method in getattr(route, "methods", None) or {"GET"}
        if method != "HEAD"
    }


@pytest.mark.filterwarnings("ignore")  # torch's and vLLM's, at their first import
def test_a_new_route_of_vllm_is_looked_at_before_it_is_closed_or_opened() -> None:
    opened = {(route.method, route.path) for route in ROUTES if route.kind is not RouteKind.OURS}
    assert routes_of_vllm() == CLOSED | REPLACED | opened
