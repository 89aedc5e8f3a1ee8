"""Any order of grants, steps and endings keeps the ledger's books."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from admission.ledger.lease import Lease
from admission.ledger.ledger import Ledger
from admission.price.footprint import EngineShape, PromptShape, RequestShape, price
from admission.price.outlook import Outlook
from tests.admission.examples import is_empty

prompts = st.lists(
    st.builds(PromptShape, st.integers(1, 200), st.integers(1, 200)), min_size=1, max_size=2
)


class LedgerBooks(RuleBasedStateMachine):
    """Grants, steps and endings as they come."""

    leases = Bundle("leases")

    @initialize(
        block_tokens=st.sampled_from([1, 16, 128]),
        lookahead_tokens=st.integers(0, 1),
        prefix_caching=st.booleans(),
    )
    def start(self, block_tokens: int, lookahead_tokens: int, prefix_caching: bool) -> None:
        self.ledger = Ledger(
            EngineShape(
                usable_blocks=10_000,
                block_tokens=block_tokens,
                max_sequences=64,
                max_model_len=400,
                max_batched_tokens=64,
                prefix_caching=prefix_caching,
                lookahead_tokens=lookahead_tokens,
            )
        )

    @rule(target=leases, prompts=prompts, sequences=st.integers(1, 3), reserve=st.booleans())
    def grant(self, prompts: list[PromptShape], sequences: int, reserve: bool) -> Lease:
        request = RequestShape(tuple(prompts), sequences=sequences)
        outputs = [prompt.max_tokens for prompt in prompts]
        return self.ledger.grant(
            self.ledger.claim(price(request, self.ledger.engine, outputs, reserve=reserve))
        )

    @rule(tokens=st.integers(0, 500))
    def compute(self, tokens: int) -> None:
        self.ledger.prefilled(tokens)

    @rule(gain=st.integers(1, 40), skip=st.integers(1, 3))
    def advance(self, gain: int, skip: int) -> None:
        """Some rows gain; numbers of rows that ended are named too, and ignored."""
        rows = [row for lease in self.ledger.leases.values() for row in lease.live]
        chosen = rows[::skip]
        tokens = [self.ledger.generated_tokens(row) + gain for row in chosen]
        gone = [row + (1 << 40) for row in chosen[:1]]
        for row in self.ledger.progress(
            np.array(chosen + gone, dtype=np.int64),
            np.array(tokens + [7] * len(gone), dtype=np.int64),
        ):
            self.ledger.repredict(row, Outlook(self.ledger.generated_tokens(row) + 64))

    @rule(lease=leases, which=st.integers(0, 5))
    def end_one(self, lease: Lease, which: int) -> None:
        self.ledger.end_sequence(lease.rows[which % len(lease.rows)])

    @rule(lease=leases)
    def abort(self, lease: Lease) -> None:
        self.ledger.stop_prefill(lease)

    @rule(target=leases, lease=consumes(leases))
    def close(self, lease: Lease) -> object:
        self.ledger.close(lease.lease_id)
        return multiple()

    @invariant()
    def the_sums_are_those_of_the_rows(self) -> None:
        ledger = self.ledger
        held = sum(ledger.lease_blocks(lease) for lease in ledger.leases.values())
        assert ledger.held_blocks == ledger._table.held_blocks() == held
        assert ledger.held_blocks + ledger.free_blocks == ledger.engine.usable_blocks
        assert ledger.backlog_tokens == sum(ledger._table.missing(row) for row in ledger._owner)
        assert ledger.sequences == sum(len(lease.live) for lease in ledger.leases.values())

    @invariant()
    def the_curve_is_the_sum_of_the_traces(self) -> None:
        curve = self.ledger.curve
        curve.peak()  # draws what is not drawn yet
        sums = np.zeros_like(curve._sums)
        for demand in self.ledger._promises._traces.values():
            start = max(curve._now, demand.first)
            place = slice(start - curve._origin, max(start, demand.end) - curve._origin)
            sums[place] += demand.sums[start - demand.first :]
        now = curve._now - curve._origin
        assert (curve._sums[now:] == sums[now:]).all()

    @invariant()
    def only_what_the_engine_has_not_computed_waits_for_it(self) -> None:
        ledger = self.ledger
        queue = ledger._to_prefill
        for row in (*queue._coming, *queue._aborted):
            assert ledger._table.missing(row) > 0
        assert not set(queue._coming) & set(queue._aborted)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            for lease_id in list(self.ledger.leases):
                self.ledger.close(lease_id)
            assert is_empty(self.ledger)


TestLedgerBooks = LedgerBooks.TestCase
TestLedgerBooks.settings = settings(max_examples=25, stateful_step_count=30)
