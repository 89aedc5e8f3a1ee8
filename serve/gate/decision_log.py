"""One JSON line per decision and one per end, without any text of the request; off by default."""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from admission.controller import Controller
from admission.price.offer import Offer, Quote
from admission.record import Ending, Occasion, decision_record, end_record
from admission.terms.decision import Decision
from serve.visit import Visit


class Lines(Protocol):
    """Where records go: a file behind a queue, or a list."""

    def write(self, line: Mapping[str, Any]) -> None:
        """Keeps one record."""
        ...


class DecisionLog:
    """Writes the records of `admission/record.py`; with no lines to write to it does nothing.

    Each names its `replica`, that is this start of one engine: clocks, leases and learned lengths
    are its own. `wall_s` is the time of day.
    """

    def __init__(
        self, lines: Lines | None = None, *, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._lines = lines
        self._wall_s = wall_s
        self.replica = uuid.uuid4().hex[:8]

    def decided(  # noqa: PLR0913 - a record is of all these
        self,
        visit: Visit,
        offer: Offer,
        quote: Quote,
        decision: Decision,
        controller: Controller,
        *,
        mono_s: float,
        config_hash: str,
    ) -> None:
        """A decision was taken: at once, or when a waiting request's turn came."""
        if self._lines is None:
            return
        occasion = Occasion(self._wall_s(), mono_s, visit.request_id, visit.route, config_hash)
        context = controller.context(offer, mono_s)
        record = decision_record(occasion, offer, quote, decision, context)
        self._lines.write(record | {"run": visit.run, "replica": self.replica})

    def ended(self, visit: Visit) -> None:
        """A request that held a lease is over."""
        if self._lines is None:
            return
        ending = Ending(
            request_id=visit.request_id,
            waited_s=round(visit.queued_s, 6),
            ttft_s=visit.ttft_s,
            tpot_s=visit.tpot_s,
            output_tokens=visit.output_tokens,
            finish=visit.finish,
            preemptions=visit.preemptions,
        )
        self._lines.write(end_record(ending) | {"replica": self.replica})
