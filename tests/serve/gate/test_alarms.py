"""What admission believes, as metrics; what goes wrong, in the log once."""

import logging
import math

import pytest
from prometheus_client import CollectorRegistry

from admission.controller import Controller
from admission.speed.linear_steps import StepCoefficients
from admission.terms.settings import Settings
from serve.gate.alarms import Alarms
from serve.observability.metric_table import Sources
from serve.observability.metrics import Metrics
from tests.admission.examples import ENGINE, accepted, offer, record


def made() -> tuple[Controller, Alarms, CollectorRegistry]:
    registry = CollectorRegistry()
    controller, metrics = Controller(ENGINE, Settings(kv_headroom_ratio=0.0)), Metrics(registry)
    metrics.read_from(lambda: Sources(controller.snapshot()))
    return controller, Alarms(), registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


def test_before_anything_is_known_the_metrics_say_so() -> None:
    _, _, registry = made()
    assert math.isnan(value(registry, "sluice_step_time_error_ratio"))
    assert math.isnan(value(registry, "sluice_output_coverage_ratio", predicted="price"))
    assert value(registry, "sluice_kv_promised_ratio") == 1.0
    assert value(registry, "sluice_kv_bias_ratio") == 1.0
    assert value(registry, "sluice_engine_stale") == 0


def test_a_silent_engine_is_told_once_and_once_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    controller, alarms, registry = made()
    (row,) = controller.rows_of(accepted(controller.offer(offer(), 0.0)))
    controller.tick(0.0)
    with caplog.at_level(logging.INFO, "sluice.gate"):
        for tenth in range(25, 35):
            controller.tick(tenth / 10)
            alarms.look(controller.snapshot())
        assert value(registry, "sluice_engine_stale") == 1
        assert value(registry, "sluice_kv_promised_ratio") == 0.95
        controller.progress(record({row: 1}, elapsed_s=0.1, kv_used_ratio=0.1), 3.5)
        alarms.look(controller.snapshot())
    assert value(registry, "sluice_engine_stale") == 0
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]
    assert "the engine reports no steps" in caplog.messages[0]
    assert caplog.messages[1].endswith("over")


def test_how_far_step_times_were_off_is_a_metric() -> None:
    controller, _, registry = made()
    controller.know_step_times(StepCoefficients(0.2, 1e-4, 1e-3, 0.0))
    (row,) = controller.rows_of(accepted(controller.offer(offer(), 0.0)))
    for tokens in range(1, 40):
        controller.progress(record({row: tokens}, decode_tokens=1, elapsed_s=0.1), tokens / 10)
    assert 0 < value(registry, "sluice_step_time_error_ratio") < 1


def test_each_step_that_strays_far_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    controller, alarms, registry = made()
    controller.know_step_times(StepCoefficients(0.1, 1e-4, 1e-3, 0.0))
    (row,) = controller.rows_of(accepted(controller.offer(offer(), 0.0)))
    for tokens, seconds in enumerate((0.1, 5.0, 0.1), start=1):
        controller.progress(record({row: tokens}, decode_tokens=1, elapsed_s=seconds), 1.0)
        alarms.look(controller.snapshot())
        alarms.look(controller.snapshot())
    assert value(registry, "sluice_step_time_outliers_total") == 1
    (told,) = caplog.messages
    assert "5.00 s" in told
    assert "0.101 s" in told
