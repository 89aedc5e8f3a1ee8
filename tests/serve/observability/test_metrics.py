"""The `sluice_` metrics as a scrape shows them."""

import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from admission.controller import Controller
from admission.terms.decision import Limit, Outcome, Reason
from admission.terms.settings import Mode, Settings
from serve.observability.metric_table import (
    DECISIONS,
    EVENTS,
    OUTPUT_RATIO,
    READINGS,
    UNLEASED_CALLS,
    Sources,
)
from serve.observability.metrics import Metrics
from tests.admission.examples import ENGINE, EXACT, accepted, offer, record, shape


class Scraped:
    """Metrics of one controller, read from the exposition text."""

    def __init__(self, controller: Controller | None = None) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        if controller is not None:
            self.metrics.read_from(lambda: Sources(controller.snapshot()))

    def value(self, name: str, **labels: str) -> float:
        text = generate_latest(self.registry).decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if (sample.name, sample.labels) == (name, labels):
                    return float(sample.value)
        raise KeyError(name, labels)


def test_gauges_follow_the_controller_without_being_set() -> None:
    controller = Controller(ENGINE, EXACT)
    at = Scraped(controller)
    assert at.value("sluice_kv_capacity_tokens") == 1600
    assert at.value("sluice_leases") == 0
    lease_id = accepted(controller.offer(offer(shape(1000, 500)), 0.0))
    (row,) = controller.rows_of(lease_id)
    controller.progress(record({row: 1}, prefill_tokens=1000), 0.1)
    controller.offer(offer(shape(1000, 500, ignore_eos=False)), 0.2)
    assert at.value("sluice_leases") == 1
    assert at.value("sluice_queue_size") == 1
    assert at.value("sluice_kv_held_tokens") == 16 * controller.ledger.held_blocks > 0
    assert at.value("sluice_kv_projected_peak_tokens") == 16 * controller.ledger.curve.peak()


def test_the_limit_that_made_the_last_request_wait_is_one_and_the_others_are_zero() -> None:
    controller = Controller(ENGINE, EXACT)
    at = Scraped(controller)
    shown = {limit: at.value("sluice_binding_limit", limit=limit) for limit in Limit}
    assert set(shown.values()) == {0}
    controller.offer(offer(shape(1000, 500)), 0.0)
    controller.offer(offer(shape(1000, 500)), 0.0)
    shown = {limit: at.value("sluice_binding_limit", limit=limit) for limit in Limit}
    assert shown == {"kv": 1, "slots": 0, "prefill": 0, "decode": 0}


def test_mode_shadow_names_the_limit_that_would_have_made_a_request_wait() -> None:
    controller = Controller(ENGINE, Settings(kv_headroom_ratio=0.0, mode=Mode.SHADOW))
    at = Scraped(controller)
    controller.offer(offer(shape(1000, 500)), 0.0)
    accepted(controller.offer(offer(shape(1000, 500)), 0.0))
    assert at.value("sluice_binding_limit", limit="kv") == 1


def test_what_is_not_known_is_nan() -> None:
    at = Scraped(Controller(ENGINE, EXACT))
    for name in ("plan_kv_error_ratio", "step_time_error_ratio", "first_token_error_seconds"):
        assert math.isnan(at.value(f"sluice_{name}"))
    assert math.isnan(at.value("sluice_output_coverage_ratio", predicted="median"))
    assert at.value("sluice_prefix_cached_tokens_total", what="found") == 0
    assert at.value("sluice_step_time_outliers_total") == 0


def test_decisions_are_counted_by_outcome_and_reason() -> None:
    at = Scraped()
    at.metrics.count(DECISIONS, Outcome.ACCEPTED, "")
    at.metrics.count(DECISIONS, Outcome.REJECTED, Reason.SLOTS)
    at.metrics.count(DECISIONS, Outcome.REJECTED, Reason.SLOTS)

    def count(outcome: str, reason: str) -> float:
        return at.value("sluice_admission_decisions_total", outcome=outcome, reason=reason)

    assert count("accepted", "") == 1
    assert count("rejected", "slots") == 2
    assert count("abandoned", "") == 0
    for reason in Reason:
        assert count("rejected", reason) >= 0


def test_an_event_that_has_never_happened_is_exported_as_zero() -> None:
    at = Scraped()
    assert at.value("sluice_unleased_engine_calls_total") == 0
    at.metrics.count(UNLEASED_CALLS)
    assert at.value("sluice_unleased_engine_calls_total") == 1
    for reason in Reason:
        assert at.value("sluice_shadow_would_refuse_total", reason=reason) == 0


def test_a_histogram_sums_what_it_observes() -> None:
    at = Scraped()
    at.metrics.observe(OUTPUT_RATIO, 0.8)
    at.metrics.observe(OUTPUT_RATIO, 3.0)
    assert at.value("sluice_output_real_to_predicted_ratio_sum") == pytest.approx(3.8)
    assert at.value("sluice_output_real_to_predicted_ratio_bucket", le="1.0") == 1


def test_two_sets_of_metrics_in_one_registry_are_refused() -> None:
    at = Scraped()
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(at.registry)


def test_every_metric_of_the_table_is_in_the_scrape() -> None:
    at = Scraped(Controller(ENGINE, EXACT))
    families = text_string_to_metric_families(generate_latest(at.registry).decode())
    told = {family.name: (family.type, family.documentation) for family in families}
    for each in (*EVENTS, *READINGS):
        assert told[each.name] == (each.kind, each.help)
