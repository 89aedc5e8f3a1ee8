"""What the endpoint says of itself while a run goes on: /metrics, about once a second."""

from collections.abc import Callable, Iterable
from http import HTTPStatus

import gevent
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Row

from loadtests.client.api import Api, EndpointDownError
from loadtests.client.clock import Clock
from loadtests.record import Sample

EVERY_S = 1.0  # real seconds: a gateway under load has better things to do
_GAUGES = {
    "kv_capacity_tokens": "sluice_kv_capacity_tokens",
    "kv_held_tokens": "sluice_kv_held_tokens",
    "kv_peak_tokens": "sluice_kv_projected_peak_tokens",
    "queued": "sluice_queue_size",
    "kv_used_ratio": "vllm:kv_cache_usage_perc",
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "preemptions": "vllm:num_preemptions_total",
}
_DECISIONS = "sluice_admission_decisions_total"
_NAMES = (*_GAUGES.values(), _DECISIONS)


class Sampler:
    """Looks until it is stopped, or until it learns that the endpoint has no metrics of ours."""

    def __init__(self, api: Api, clock: Clock, tell: Callable[[Sample], None]) -> None:
        self._api = api
        self._clock = clock
        self._tell = tell
        self._looking: gevent.Greenlet | None = None

    def start(self) -> None:
        """From now on."""
        self._looking = gevent.spawn(self._look_on)

    def stop(self) -> None:
        """No look is left half done."""
        if self._looking is not None:
            self._looking.kill()
            self._looking = None

    def _look_on(self) -> None:
        """An endpoint that does not answer is the round's to judge; here it leaves a gap."""
        while True:
            try:
                status, text = self._api.read("/metrics")
            except EndpointDownError:
                pass
            else:
                sample = read_sample(text, self._clock.now_s())
                if status != HTTPStatus.OK or sample is None:
                    return
                self._tell(sample)
            gevent.sleep(EVERY_S)


def read_sample(text: str, at_s: float) -> Sample | None:
    """The metrics we know in Prometheus' text format; None where there is none of them.

    Series that differ in labels only are summed; the share of KV used is their mean.
    """
    rows = list(_rows(text))
    found = {row.name for row in rows}
    if not found:
        return None
    values = {field: _sum(rows, name) for field, name in _GAUGES.items() if name in found}
    if used := [row.value for row in rows if row.name == _GAUGES["kv_used_ratio"]]:
        values["kv_used_ratio"] = sum(used) / len(used)
    decisions: dict[str, int] = {}
    for row in rows:
        if row.name == _DECISIONS:
            outcome = row.labels["outcome"]
            decisions[outcome] = decisions.get(outcome, 0) + round(row.value)
    return Sample(at_s, **values, decisions=decisions)


def _rows(text: str) -> Iterable[Row]:
    """Only our lines are parsed: a gateway's page has hundreds, and the client's core is scarce."""
    ours = "\n".join(line for line in text.splitlines() if line.startswith(_NAMES))
    for family in text_string_to_metric_families(ours + "\n"):
        yield from (row for row in family.samples if row.name in _NAMES)


def _sum(rows: Iterable[Row], name: str) -> float:
    return sum(row.value for row in rows if row.name == name)
