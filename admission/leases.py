"""Leases from their grant to their end: what step records, endings and releases do to them."""

from dataclasses import dataclass

from admission.exchange import StepRecord
from admission.gates.first_token import FirstTokens
from admission.gates.slack import PARTS, Slack
from admission.ledger.claim import Claim
from admission.ledger.comparison import Comparison
from admission.ledger.lease import Lease
from admission.ledger.ledger import Ledger
from admission.ledger.pending_aborts import PendingAborts
from admission.ledger.used import Used
from admission.price.coverage import Coverage
from admission.price.lengths import OutputLengths
from admission.price.offer import Offer, Quote
from admission.price.prefixes import Prefixes
from admission.price.unfinished import Unfinished
from admission.terms.settings import Settings

_RECORDS_UNTIL_ABORTED = 3  # one step runs, one is ordered, the next knows of the abort
_REPRICED_PER_RECORD = 16  # bounds the cost of one step record; the rest follow in the next


@dataclass(slots=True, eq=False)
class _Granted:
    lease: Lease
    offer: Offer
    quote: Quote

    def outgrew(self, row: int, produced: int) -> bool:
        """Whether a running completion reached its prediction; False where its end is reserved."""
        prediction = self.quote.predictions[self.lease.prompt_of[row]]
        fixed = prediction.known or self.lease.reserved
        return not fixed and produced >= prediction.tokens


class Leases:
    """Keeps the ledger in step with the engine; decides nothing.

    A lease is released once, but stays in the ledger until the engine has freed its last row.
    """

    def __init__(
        self,
        ledger: Ledger,
        lengths: OutputLengths,
        prefixes: Prefixes,
        slack: Slack,
        first_tokens: FirstTokens,
        unfinished: Unfinished,
    ) -> None:
        self._ledger = ledger
        self._lengths = lengths
        self._prefixes = prefixes
        self._granted: dict[int, _Granted] = {}
        self._unfinished = unfinished
        self.pending_aborts = PendingAborts()
        self.coverage = Coverage()
        self._slack = slack
        self._first_tokens = first_tokens

    def grant(self, offer: Offer, quote: Quote, claim: Claim | None, settings: Settings) -> Lease:
        """Open a lease; without a claim, whether it fits was not asked."""
        lease = self._ledger.grant(claim or self._ledger.claim(quote.price))
        self._share(lease, offer)
        self._slack.let_in(quote.price.prefill_tokens)
        for row, prompt in lease.live.items():
            self._slack.begin(row, self._likely(offer, quote, prompt, settings))
            if _teaches(offer):
                self._unfinished.begin(row, quote.keys[prompt])
        self._granted[lease.lease_id] = _Granted(lease, offer, quote)
        return lease

    def _share(self, lease: Lease, offer: Offer) -> None:
        """Note the prompts' cached prefixes, and the cache hits to expect."""
        prefixes, ledger = self._prefixes, self._ledger
        for row in (*lease.shared_prefixes.values(), *lease.live):
            prompt, tokens = lease.prompt_of[row], ledger.echoed_tokens(row)
            if prompt not in lease.prefix_hashes:
                hashes = lease.prefix_hashes[prompt] = offer.shape.prompts[prompt].prefix_hashes
                tokens = max(tokens, prefixes.find(hashes).cached_tokens)
                prefixes.hold(hashes)
            prefixes.hits.expect(row, tokens)

    def _likely(
        self, offer: Offer, quote: Quote, prompt: int, settings: Settings, produced: int = 0
    ) -> list[int]:
        limit = offer.shape.prompts[prompt].max_tokens
        if quote.predictions[prompt].known:
            return [limit] * PARTS
        return self._lengths.likely(
            quote.keys[prompt], settings, count=PARTS, max_tokens=limit, produced=produced
        )

    def rows_of(self, lease_id: int) -> tuple[int, ...]:
        """All rows of a lease not yet released, ended or not."""
        return self._granted[lease_id].lease.rows

    # -- step records ----------------------------------------------------------------------

    def advance(self, record: StepRecord, settings: Settings, now_s: float) -> float:
        """Take in one step; returns by how much the step clock moved."""
        ledger = self._ledger
        begun = ledger.prefilled(record.prefill_tokens + record.cached_tokens)
        self._prefixes.hits.see(begun, record.cached_tokens)
        self.pending_aborts.count_record(now_s, age_s=record.age_s)
        self._note_ends(record, now_s)
        before = ledger.clock
        outlived = ledger.progress(record.rows, record.generated)
        self._prefixes.keep(max(0, ledger.free_blocks))
        begun = self._slack.progress(record.rows, record.generated, now_s)
        self._first_tokens.see(begun, now_s)
        for row in outlived[:_REPRICED_PER_RECORD]:
            self._reprice(row, settings)
        return ledger.clock - before

    def compare(self, used_ratio: float) -> Comparison:
        """The ledger after this step beside the share of the cache that the engine says it holds.

        No record tells yet of steps ordered ahead, nor of the growth of sequences whose abort is
        pending.
        """
        ledger, engine = self._ledger, self._ledger.engine
        growing_blocks = self.pending_aborts.unseen_blocks(engine.block_tokens)
        return Comparison(
            held_blocks=ledger.held_blocks,
            unseen_blocks=ledger.ordered_blocks + growing_blocks,
            sequences=ledger.sequences,
            used_blocks=round(used_ratio * engine.usable_blocks),
            used_ratio=used_ratio,
        )

    def _note_ends(self, record: StepRecord, now_s: float) -> None:
        ahead = self._ledger.engine.lookahead_tokens
        for row in record.ended:
            self._end(row)
        for row in record.ending:
            self.pending_aborts.add(row, now_s, records=_RECORDS_UNTIL_ABORTED + ahead)

    def _reprice(self, row: int, settings: Settings) -> None:
        """Replace the prediction of a sequence that has outlived most of its class."""
        lease = self._ledger.lease_of(row)
        granted = self._granted.get(lease.lease_id) if lease else None
        if lease is None or granted is None:
            return
        prompt, shape = lease.prompt_of[row], granted.offer.shape
        limit, produced = shape.prompts[prompt].max_tokens, self._ledger.generated_tokens(row)
        if produced >= limit:
            return
        outlook = self._lengths.outlook(
            granted.quote.keys[prompt],
            settings,
            produced=produced,
            max_tokens=limit,
            min_tokens=shape.min_tokens,
        )
        self._ledger.repredict(row, outlook)
        if granted.outgrew(row, produced):
            self._slack.expect(
                row, self._likely(granted.offer, granted.quote, prompt, settings, produced)
            )

    def learn(self, lease_id: int, row: int, output_tokens: int, *, cut: bool) -> None:
        """Teach the class of an answer its length. Lengths the client fixed teach nothing."""
        granted = self._granted.get(lease_id)
        if granted is None:
            return
        granted.lease.note_produced(row, output_tokens)
        if not _teaches(granted.offer):
            return
        prompt = granted.lease.prompt_of[row]
        limit = granted.offer.shape.prompts[prompt].max_tokens
        self.coverage.note(granted.quote.predictions[prompt], output_tokens, limit=limit)
        self._lengths.learn(granted.quote.keys[prompt], output_tokens, cut=cut)

    # -- endings ---------------------------------------------------------------------------

    def release(self, lease_id: int, now_s: float, *, in_engine: bool) -> Used | None:
        """Give the lease back; with `in_engine` its living rows count until they are freed.

        Returns what it used of the engine, or None when it was released before.
        """
        granted = self._granted.pop(lease_id, None)
        if granted is None:
            return None
        lease = granted.lease
        taken = self._ledger.used_by(lease)
        if in_engine and lease.live:
            self._ledger.stop_prefill(lease)
            records = _RECORDS_UNTIL_ABORTED + self._ledger.engine.lookahead_tokens
            for row in lease.live:
                self.pending_aborts.add(row, now_s, records=records)
        else:
            for row in list(lease.live):
                self._drop(lease, row)
            self._ledger.close(lease_id)
        return taken

    def free_due(self, now_s: float) -> None:
        """End the rows that the engine has freed by now without saying so."""
        for row in self.pending_aborts.due(now_s):
            self._end(row)

    def _end(self, row: int) -> None:
        lease = self._ledger.lease_of(row)
        if lease is None:
            return
        self._drop(lease, row)
        if not lease.live and lease.lease_id not in self._granted:
            self._ledger.close(lease.lease_id)

    def _drop(self, lease: Lease, row: int) -> None:
        self._leave_cached(lease, row)
        self._ledger.end_sequence(row)
        self._slack.end(row)
        self._unfinished.end(row)
        self._first_tokens.forget(row)

    def _leave_cached(self, lease: Lease, row: int) -> None:
        """Its blocks stay in the cache until they are taken again; the last leaves the prompt."""
        ledger, prefixes, prompt = self._ledger, self._prefixes, lease.prompt_of[row]
        hashes, computed_tokens = lease.prefix_hashes[prompt], ledger.computed_tokens(row)
        named_blocks = prefixes.blocks_of(hashes, computed_tokens=computed_tokens)
        prefixes.pass_over(ledger.full_blocks(row) - named_blocks)
        for each in (row, lease.shared_prefixes.get(prompt, row)):
            prefixes.hits.forget(each)
        if [*lease.live.values()].count(prompt) == 1:
            prefixes.let_go(hashes, computed_tokens=computed_tokens)

    def outgrown(self) -> list[int]:
        """Unreleased leases with a completion that runs beyond its price."""
        generated = self._ledger.generated_tokens
        return [
            lease_id
            for lease_id, each in self._granted.items()
            if any(each.outgrew(row, generated(row)) for row in each.lease.live)
        ]


def _teaches(offer: Offer) -> bool:
    """Whether the model decides how long an answer is, not the client."""
    return not (offer.shape.ignore_eos or offer.shape.min_tokens)
