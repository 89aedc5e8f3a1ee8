"""What an operator sees: metrics by the names of the contract, spans when asked for, JSON lines."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry
from starlette.types import Send

from admission.terms.decision import Limit, Outcome, Reason, Rejected
from admission.terms.shadow import Seen
from serve.doc_tables import current
from serve.observability.json_lines import JsonLines
from serve.observability.metrics_doc import TABLES
from serve.observability.telemetry import Metrics, Telemetry
from serve.observability.tracing import Tracing, start_tracing
from serve.visit import VISIT
from tests.fakes import body, house, start

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_decisions_are_counted_by_outcome_and_reason() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.decision(Outcome.ACCEPTED)
    metrics.decision(Outcome.REJECTED, Reason.SLOTS)
    metrics.decision(Outcome.REJECTED, Reason.SLOTS)

    def count(outcome: str, reason: str) -> float | None:
        labels = {"outcome": outcome, "reason": reason}
        return registry.get_sample_value("sluice_admission_decisions_total", labels)

    assert count("accepted", "") == 1
    assert count("rejected", "slots") == 2
    assert count("abandoned", "") == 0
    assert all(count("rejected", reason) is not None for reason in Reason)


def test_levels_and_the_binding_limit_are_gauges() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.levels(
        capacity_tokens=1600,
        held_tokens=320,
        projected_peak_tokens=800,
        queue_size=3,
        leases=2,
        first_token_error_s=0.25,
    )
    metrics.binding(Limit.SLOTS)
    value = registry.get_sample_value
    assert value("sluice_kv_capacity_tokens") == 1600
    assert value("sluice_kv_held_tokens") == 320
    assert value("sluice_kv_projected_peak_tokens") == 800
    assert value("sluice_queue_size") == 3
    assert value("sluice_leases") == 2
    assert value("sluice_first_token_error_seconds") == 0.25
    assert {n: value("sluice_binding_limit", {"limit": n}) for n in Limit} == {
        "kv": 0,
        "slots": 1,
        "prefill": 0,
        "decode": 0,
    }
    metrics.binding(None)
    assert value("sluice_binding_limit", {"limit": "slots"}) == 0


def test_what_the_prefix_cache_was_foreseen_to_hold_is_counted_beside_what_it_held() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.cached(foreseen_tokens=256, found_tokens=128)
    metrics.cached(foreseen_tokens=384, found_tokens=512)

    def counted(what: str) -> float | None:
        return registry.get_sample_value("sluice_prefix_cached_tokens_total", {"what": what})

    assert (counted("foreseen"), counted("found")) == (384, 512)


def test_predicted_is_held_against_real_output_length() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.output_length(predicted_tokens=100, real_tokens=80)
    metrics.output_length(predicted_tokens=100, real_tokens=300)
    value = registry.get_sample_value
    assert value("sluice_output_predicted_tokens_sum") == 200
    assert value("sluice_output_real_tokens_sum") == 380
    assert value("sluice_output_real_to_predicted_ratio_bucket", {"le": "1.0"}) == 1


def test_what_should_never_happen_is_counted() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.preempted(2)
    metrics.unleased_call()
    metrics.config_refused()
    metrics.step_record_failed()
    metrics.waited(0.3)
    value = registry.get_sample_value
    assert value("sluice_engine_preemptions_total") == 2
    assert value("sluice_unleased_engine_calls_total") == 1
    assert value("sluice_config_refused_total") == 1
    assert value("sluice_step_record_failures_total") == 1
    assert value("sluice_queue_wait_seconds_count") == 1


def test_what_mode_shadow_would_have_done_is_counted() -> None:
    registry = CollectorRegistry()
    metrics, value = Metrics(registry), registry.get_sample_value
    metrics.shadow(Seen("c", Outcome.REJECTED, "slots", True))
    metrics.shadow(Seen("c", Outcome.ACCEPTED, None, False))
    assert value("sluice_shadow_requests_total", {"would": "rejected"}) == 1
    assert value("sluice_shadow_requests_total", {"would": "queued"}) == 0
    assert value("sluice_shadow_would_refuse_total", {"reason": "slots"}) == 1
    assert value("sluice_shadow_would_refuse_total", {"reason": "kv_capacity"}) == 0
    assert value("sluice_shadow_false_refusals_total") == 1
    assert value("sluice_shadow_missed_refusals_total") == 1


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
    metrics.log_lines_dropped("access", 3)

    def lost(log: str) -> float | None:
        return registry.get_sample_value("sluice_log_lines_dropped_total", {"log": log})

    assert (lost("access"), lost("decision")) == (3, 0)


def test_the_page_of_metrics_is_current() -> None:
    text = PAGE.read_text()
    told = "run: python -m serve.observability.metrics_doc docs/reference/metrics.md"
    assert current(text, TABLES) == text, told
    assert "`sluice_faults_total` | counter | `part`" in text
