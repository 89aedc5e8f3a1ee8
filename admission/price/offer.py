"""What a request asks for, and what it is quoted: its price and the predictions behind it."""

from dataclasses import dataclass
from typing import NamedTuple

from admission.price.footprint import Price, RequestShape
from admission.price.lengths import ClassKey, Prediction
from admission.terms.decision import Priority


@dataclass(frozen=True, slots=True)
class Offer:
    """A request at the door. `deadline_at_s` is the instant its first token is due."""

    tenant: str
    priority: Priority
    shape: RequestShape
    arrived_at_s: float
    deadline_at_s: float


class Quote(NamedTuple):
    """The price of an offer and the predictions it rests on, one per prompt."""

    price: Price
    predictions: tuple[Prediction, ...]
    keys: tuple[tuple[ClassKey, ...], ...]
