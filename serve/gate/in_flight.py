"""Visits that hold leases: their sequences in the engine, and what its steps say of them."""

import logging
from collections.abc import Collection

from admission.controller import Controller
from admission.exchange import StepRecord
from admission.price.footprint import RequestShape
from admission.price.offer import Offer
from serve.engine_step import EngineStep, Finished
from serve.gate.sequences import Sequences
from serve.observability.metric_table import (
    OUTPUT_PREDICTED,
    OUTPUT_RATIO,
    OUTPUT_REAL,
    PREEMPTIONS,
)
from serve.observability.metrics import Metrics
from serve.visit import Visit

_log = logging.getLogger("sluice.gate")


class InFlight:
    """From a lease's grant to its end."""

    def __init__(self, controller: Controller, metrics: Metrics) -> None:
        self._controller = controller
        self._metrics = metrics
        self._sequences = Sequences()
        self._visits: dict[int, Visit] = {}  # by lease

    @property
    def visits(self) -> Collection[Visit]:
        """Those that hold a lease; one with several leases is here for each."""
        return self._visits.values()

    def begin(self, visit: Visit, lease_id: int) -> None:
        """The visit holds this lease."""
        self._visits[lease_id] = visit

    def starting(self, visit: Visit, engine_id: str, shape: RequestShape, now_s: float) -> None:
        """An engine request of the visit begins: the next rows of its lease are its sequences.

        A turn that the lease did not foresee enlarges it: its 200 is out, it cannot be refused.
        """
        if visit.lease_id is None:
            return
        lease_id, controller = visit.lease_id, self._controller
        taken = self._sequences.started_rows(lease_id)
        rows = controller.rows_of(lease_id)[taken : taken + shape.sequences]
        if not rows:
            tenant = visit.tenant
            lease_id = controller.enlarge(Offer(tenant.name, tenant.priority, shape, now_s, now_s))
            visit.more_lease_ids.append(lease_id)
            self.begin(visit, lease_id)
            rows = controller.rows_of(lease_id)
        self._sequences.start(lease_id, engine_id, rows, stops=shape.front_end_stops)

    def has_begun(self, visit: Visit) -> bool:
        """Whether the engine has computed a token of the visit's answer."""
        if visit.output_tokens:
            return True
        leases = (visit.lease_id, *visit.more_lease_ids)
        return any(self._sequences.has_tokens(each) for each in leases if each is not None)

    # -- a step ----------------------------------------------------------------------------

    def read(self, step: EngineStep) -> StepRecord:
        """The step in rows of the ledger; who ended in it has taught its class."""
        record = self._sequences.read(step)
        for finished in step.finished:
            self._finished(finished)
        return record

    def _finished(self, finished: Finished) -> None:
        known = self._sequences.lease_of(finished.engine_id)
        if known is None:
            return
        lease_id, row = known
        visit = self._visits[lease_id]
        self._write_end(visit, finished)
        if finished.reason in ("stop", "length"):
            cut = finished.reason == "length"
            self._controller.learn(lease_id, row, finished.output_tokens, cut=cut)
            prompt = visit.engine_ids.index(finished.engine_id)
            predicted = visit.predicted_tokens[min(prompt, len(visit.predicted_tokens) - 1)]
            self._metrics.observe(OUTPUT_PREDICTED, predicted)
            self._metrics.observe(OUTPUT_REAL, finished.output_tokens)
            self._metrics.observe(OUTPUT_RATIO, finished.output_tokens / max(predicted, 1))

    def _write_end(self, visit: Visit, finished: Finished) -> None:
        visit.output_tokens = (visit.output_tokens or 0) + finished.output_tokens
        visit.finish = finished.reason
        visit.prefill_s = finished.queued_s + finished.prefill_s
        visit.tpot_s = finished.tpot_s
        visit.preemptions += finished.preemptions

    def preempted(self, sequences: int) -> None:
        """The engine preempted so many: counted, and logged with the requests to blame."""
        self._metrics.count(PREEMPTIONS, by=sequences)
        outgrown = [self._visits[i].request_id for i in self._controller.outgrown()]
        _log.warning(
            "the engine preempted %d sequences; requests that outgrew their price: %s",
            sequences,
            ", ".join(outgrown) or "none",
        )

    # -- the way out -----------------------------------------------------------------------

    def end(self, visit: Visit, lease_id: int) -> None:
        """The lease is over: what it had produced is counted, its sequences are forgotten."""
        cut_tokens = self._sequences.forget(lease_id)
        if cut_tokens is not None:  # what ended by itself is counted already
            visit.output_tokens = (visit.output_tokens or 0) + cut_tokens
            visit.finish = "abort"
        del self._visits[lease_id]
