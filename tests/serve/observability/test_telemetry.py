"""What an operator sees: metrics by the names of the contract, spans when asked for, JSON lines."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry
from starlette.types import Send

from admission.terms.decision import Reason, Rejected
from serve.doc_tables import current
from serve.observability.json_lines import JsonLines
from serve.observability.metric_table import LOG_LINES_DROPPED
from serve.observability.metrics import Metrics
from serve.observability.metrics_doc import TABLES
from serve.observability.telemetry import Telemetry
from serve.observability.tracing import Tracing, start_tracing
from serve.visit import VISIT
from tests.fakes import body, house, start

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Spans:
    """Tracing whose finished spans can be looked at."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    def by_name(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


async def test_a_request_is_a_span_of_the_caller_s_trace_with_admission_inside() -> None:
    spans = Spans()
    at = house(tracing=spans.tracing)

    async def script(send: Send) -> None:
        visit = VISIT.get()
        assert visit is not None
        with spans.tracing.admission(visit):
            visit.queued_s = 1.5
        await send(start(200))
        await send(body(b"{}"))

    at.app.script = script
    await at.ask(headers={"traceparent": CALLER, "x-request-id": "mine"})
    found = spans.by_name()
    request, admission = found["POST /v1/chat/completions"], found["admission"]
    assert request.kind is SpanKind.SERVER
    assert request.parent is not None
    assert f"{request.context.trace_id:032x}" == CALLER.split("-")[1]
    assert f"{request.parent.span_id:016x}" == CALLER.split("-")[2]
    assert admission.parent == request.context
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["sluice.request_id"] == "mine"
    assert admission.attributes is not None
    assert admission.attributes["sluice.queued_s"] == 1.5
    passed_on = dict(at.app.scopes[0]["headers"])[b"traceparent"].decode()
    assert passed_on.split("-")[2] == f"{request.context.span_id:016x}"


async def test_a_refused_request_has_its_span_too() -> None:
    spans = Spans()
    at = house(tracing=spans.tracing)
    at.gate.refusal = Rejected(Reason.ENGINE_DOWN, "Down.")
    await at.ask()
    (span,) = spans.by_name().values()
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 503
    assert not span.status.is_ok


async def test_without_tracing_the_caller_s_context_goes_through_untouched() -> None:
    at = house()
    await at.ask(headers={"traceparent": CALLER})
    assert dict(at.app.scopes[0]["headers"])[b"traceparent"] == CALLER.encode()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://otel.example/in/traces", "https://otel.example/in/traces"),
    ],
)
def test_a_bare_collector_gets_the_usual_path(endpoint: str, url: str) -> None:
    tracing = start_tracing(endpoint)
    assert tracing._provider is not None
    processor = tracing._provider._active_span_processor._span_processors[0]
    assert processor.span_exporter._endpoint == url
    tracing.close()


def test_without_an_endpoint_nothing_is_traced() -> None:
    assert start_tracing(None)._provider is None


def test_closing_and_reopening_telemetry_concerns_both_logs(tmp_path: Path) -> None:
    logs = {name: tmp_path / name for name in ("access", "decision")}
    lines = {name: JsonLines(str(path)) for name, path in logs.items()}
    metrics = Metrics(CollectorRegistry())
    telemetry = Telemetry(metrics, Tracing(), lines["access"], lines["decision"])
    for path in logs.values():
        path.rename(f"{path}.1")
    telemetry.reopen()
    for log in lines.values():
        log.write({"n": 1})
    telemetry.close()
    assert {path.read_text() for path in logs.values()} == {'{"n": 1}\n'}
    assert telemetry.log_lines_dropped() == {"access": 0, "decision": 0}


def test_lost_log_lines_are_counted_by_log() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.count(LOG_LINES_DROPPED, "access", by=3)

    def lost(log: str) -> float | None:
        return registry.get_sample_value("sluice_log_lines_dropped_total", {"log": log})

    assert (lost("access"), lost("decision")) == (3, 0)


def test_the_page_of_metrics_is_current() -> None:
    text = PAGE.read_text()
    told = "run: python -m serve.observability.metrics_doc docs/reference/metrics.md"
    assert current(text, TABLES) == text, told
    assert "`sluice_faults_total` | counter | `part`" in text
