"""One JSON line per decision and one per end, without any text of the request; off by default."""

from admission.controller import Controller
from admission.exchange import Answer, Offer
from serve.json_lines import JsonLines
from serve.visit import Visit


class DecisionLog:
    """Writes CONTRACTS' decision records; with no file it does nothing."""

    def __init__(self, lines: JsonLines | None) -> None:
        self._lines = lines

    def decided(
        self, visit: Visit, offer: Offer, answer: Answer, controller: Controller, config_hash: str
    ) -> None:
        """A decision was taken."""

    def ended(self, visit: Visit) -> None:
        """A leased request is over."""
