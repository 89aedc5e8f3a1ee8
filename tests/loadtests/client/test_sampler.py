"""What is read of an endpoint's metrics."""

import gevent
import pytest

from loadtests.client import sampler
from loadtests.client.api import Api
from loadtests.client.clock import ModelledClock
from loadtests.client.sampler import Sampler, read_sample
from loadtests.record import Sample
from tests.loadtests.mock_endpoint import MockEndpoint, serving

PAGE = """# HELP sluice_admission_decisions_total Answers of admission
# TYPE sluice_admission_decisions_total counter
sluice_admission_decisions_total{outcome="accepted",reason=""} 7.0
sluice_admission_decisions_total{outcome="rejected",reason="kv_capacity"} 2.0
sluice_admission_decisions_total{outcome="rejected",reason="queue_full"} 1.0
sluice_kv_capacity_tokens 1000.0
sluice_kv_held_tokens 400.0
sluice_kv_projected_peak_tokens 900.0
sluice_queue_size 3.0
sluice_queue_wait_seconds_bucket{le="0.01"} 0.0
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.4
vllm:num_requests_running{engine="0"} 4.0
vllm:num_requests_running{engine="1"} 5.0
"""


def test_series_are_summed_and_shares_averaged() -> None:
    assert read_sample(PAGE, 5.0) == Sample(
        5.0,
        kv_capacity_tokens=1000,
        kv_held_tokens=400,
        kv_peak_tokens=900,
        kv_used_ratio=pytest.approx(0.3),
        queued=3,
        running=9,
        decisions={"accepted": 7, "rejected": 3},
    )


def test_a_page_without_known_metrics_is_no_sample() -> None:
    assert read_sample("python_info 1.0\n", 5.0) is None
    assert read_sample("", 5.0) is None


def sampled(endpoint: MockEndpoint, looks: int) -> list[Sample]:
    """What is heard within so many looks."""
    heard: list[Sample] = []
    api = Api(endpoint.url)
    looking = Sampler(api, ModelledClock(), heard.append)
    looking.start()
    for _ in range(200):
        if len(heard) >= looks:
            break
        gevent.sleep(0.01)
    looking.stop()
    api.close()
    return heard


def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "EVERY_S", 0.01)
    with serving() as endpoint:
        endpoint.metrics = PAGE
        heard = sampled(endpoint, 3)
    assert len(heard) >= 3
    assert heard[0].at_s < heard[-1].at_s


def test_an_endpoint_without_metrics_is_asked_once() -> None:
    with serving() as endpoint:
        api = Api(endpoint.url)
        looking = Sampler(api, ModelledClock(), lambda _: pytest.fail("heard of something"))
        looking.start()
        assert looking._looking is not None
        looking._looking.join(timeout=5)
        assert looking._looking.ready()
        api.close()
