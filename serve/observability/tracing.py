"""OpenTelemetry spans: one per generation request, one for its admission inside. Off by default."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serve.visit import Visit

_W3C = TraceContextTextMapPropagator()
_OFF: AbstractContextManager[Mapping[str, str]] = nullcontext({})  # holds nothing: shared by all
_OFF_ADMISSION: AbstractContextManager[None] = nullcontext()


class Traced(Protocol):
    """What a span tells of one HTTP request; `serve/http/http_request.py` is it."""

    method: str
    path: str
    request_id: str
    headers: dict[str, str]
    status: int | None


class Tracing:
    """Spans of a request, or nothing at all where no tracer is given."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("sluice")

    def request(self, call: Traced) -> AbstractContextManager[Mapping[str, str]]:
        """The request's span, child of the caller's where `traceparent` names one.

        Gives the headers that pass our context on; when off none, and the caller's go through.
        """
        return _OFF if self._tracer is None else self._request(self._tracer, call)

    def admission(self, visit: Visit) -> AbstractContextManager[None]:
        """The span from offer to decision; its parent is the request's, by context."""
        return _OFF_ADMISSION if self._tracer is None else self._admission(self._tracer, visit)

    def close(self) -> None:
        """Sends what is still buffered."""
        if self._provider is not None:
            self._provider.shutdown()

    @contextmanager
    def _request(self, tracer: trace.Tracer, call: Traced) -> Iterator[Mapping[str, str]]:
        attributes = {
            "http.request.method": call.method,
            "url.path": call.path,
            "sluice.request_id": call.request_id,
        }
        parent = _W3C.extract(call.headers)
        with tracer.start_as_current_span(
            f"{call.method} {call.path}", parent, SpanKind.SERVER, attributes
        ) as span:
            carried: dict[str, str] = {}
            _W3C.inject(carried)
            try:
                yield carried
            finally:
                if call.status is not None:
                    span.set_attribute("http.response.status_code", call.status)
                    if call.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        span.set_status(Status(StatusCode.ERROR))

    @contextmanager
    def _admission(self, tracer: trace.Tracer, visit: Visit) -> Iterator[None]:
        with tracer.start_as_current_span("admission") as span:
            span.set_attribute("sluice.tenant", visit.tenant.name)
            span.set_attribute("sluice.deadline_s", visit.deadline_s)
            try:
                yield
            finally:
                span.set_attribute("sluice.queued_s", visit.queued_s)
                if visit.prompt_tokens is not None:
                    span.set_attribute("sluice.prompt_tokens", visit.prompt_tokens)
                if visit.verdict is not None:
                    span.set_attribute("sluice.reason", visit.verdict.reason)


def start_tracing(otlp_endpoint: str | None) -> Tracing:
    """Tracing to a collector by OTLP over HTTP, or none. A bare host gets the usual path.

    Spans are sent by a thread of the exporter; a collector that is down costs log lines only.
    """
    if otlp_endpoint is None:
        return Tracing()
    # imported here: the exporter costs a second of start-up that most deployments need not pay
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    bare = urlsplit(otlp_endpoint).path in ("", "/")
    url = otlp_endpoint.rstrip("/") + "/v1/traces" if bare else otlp_endpoint
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "sluice"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return Tracing(provider)
