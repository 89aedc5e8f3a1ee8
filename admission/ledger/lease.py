"""One admitted request in the ledger."""

from dataclasses import dataclass, field

from admission.price.footprint import Price
from admission.price.prefixes import PrefixHashes


@dataclass(slots=True, eq=False)
class Lease:
    """One admitted request: its price when accepted and its rows."""

    lease_id: int
    price: Price
    rows: tuple[int, ...] = ()  # every sequence in the engine's order: prompt by prompt, then n
    live: dict[int, int] = field(default_factory=dict)  # those not ended -> prompt index
    shared_prefixes: dict[int, int] = field(
        default_factory=dict
    )  # prompt index -> row its answers share
    prompt_of: dict[int, int] = field(default_factory=dict)  # every row -> prompt index
    prefix_hashes: dict[int, PrefixHashes] = field(
        default_factory=dict
    )  # prompt index -> names of its chunks
    reserved: bool = False  # holds its end from the start
    prefilled_tokens: int = 0  # of prompts, by rows that are gone
    produced: dict[int, int] = field(default_factory=dict)  # rows that ended -> their tokens

    def note_produced(self, row: int, tokens: int) -> None:
        """An answer ended; step records may end before its last token, so the most counts."""
        self.produced[row] = max(tokens, self.produced.get(row, 0))
