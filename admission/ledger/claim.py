"""A price, worked out against the ledger of this moment: what may be granted as it stands."""

from typing import NamedTuple

from admission.ledger.demand import Demand
from admission.price.footprint import Price


class Claim(NamedTuple):
    """What granting `price` in the step it was made in adds to the curve.

    A demand for each segment, in order, where equal ones share one; then those that only prolong
    what other sequences hold.
    """

    price: Price
    demands: tuple[Demand, ...]
