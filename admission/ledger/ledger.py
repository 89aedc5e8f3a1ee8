"""KV blocks held now, and the projected peak of what all leases will hold; decides nothing."""

from collections.abc import Iterable
from math import floor

from admission.ledger.claim import Claim
from admission.ledger.demand import Demand, Ramp
from admission.ledger.lateness import Lateness
from admission.ledger.lease import Lease
from admission.ledger.prefill_queue import PrefillQueue
from admission.ledger.promises import DELAY_MAX_STEPS, TOLERANCE_STEPS, Promises
from admission.ledger.rows import Rows, RowTable
from admission.ledger.shared_prefixes import SharedPrefixes
from admission.ledger.used import Used, used
from admission.price.footprint import EngineShape, Price, Segment
from admission.price.outlook import Fate, Outlook
from admission.price.prefixes import PrefixHashes, chunk_tokens

_NEW_PROMISES_PER_RECORD = 32  # bounds the cost of one step record; the rest follow in the next


class Ledger:
    """The leases in blocks; `held_blocks + free_blocks` is always `usable_blocks`.

    Blocks count as held once the engine has begun to compute them. Promises (`curve`) count from
    the moment a lease is granted.
    """

    def __init__(self, engine: EngineShape) -> None:
        self.engine = engine
        self._promises = Promises(engine)
        self.curve = self._promises.curve
        self.leases: dict[int, Lease] = {}
        self.clock = 0.0  # decode steps done
        self.step = 0  # the same in whole steps
        self.sequences = 0
        self._next_id = 1
        self._held: int | None = 0  # None: to be counted anew
        self._again: int | None = 0
        self._table = RowTable(
            block_tokens=engine.block_tokens, lookahead_tokens=engine.lookahead_tokens
        )
        self._outlooks: dict[int, Outlook] = {}
        self._owner: dict[int, Lease] = {}
        self._lateness = Lateness()
        self.shared_prefixes = SharedPrefixes()
        self._chunk_tokens = chunk_tokens(engine.block_tokens)
        self._to_prefill = PrefillQueue(self._table, self.shared_prefixes)

    @property
    def held_blocks(self) -> int:
        """Blocks that leases hold now."""
        if self._held is None:
            self._held = self._table.held_blocks()
        return self._held

    @property
    def ordered_blocks(self) -> int:
        """Blocks beyond `held_blocks` that an engine which orders its steps ahead may hold.

        The engine reports the prompt tokens of its next step (at most a full step) one step later.
        """
        if not self.engine.lookahead_tokens:
            return 0
        return self._to_prefill.blocks_within(self.engine.max_batched_tokens)

    @property
    def backlog_tokens(self) -> int:
        """Prompt tokens of leases that the engine has still to compute."""
        return self._to_prefill.backlog_tokens

    @property
    def read_again_tokens(self) -> int:
        """Tokens that attention reads again: of a shared prefix, once for each further sequence."""
        if self._again is None:
            tokens = self._table.prompt_tokens
            self._again = sum((on - 1) * tokens(row) for row, on in self.shared_prefixes.crowds())
        return self._again

    @property
    def free_blocks(self) -> int:
        """Usable blocks that nothing holds now."""
        return self.engine.usable_blocks - self.held_blocks

    # -- granting --------------------------------------------------------------------------

    def claim(self, price: Price) -> Claim:
        """What granting `price` now would add to the curve."""
        begin, count = self._delayed(price.prefill_tokens), len(price.segments)
        made: dict[Ramp, Demand] = {}
        demands = []
        for segment in price.segments:
            ramp = self._promises.first(segment, begin, entwined=count)
            if ramp not in made:
                made[ramp] = self.curve.demand(ramp)
            demands.append(made[ramp])
        for segment, demand in zip(price.segments, tuple(demands), strict=True):
            if segment.held_tokens:
                demands += self._longer(segment, demand.end_step)
        return Claim(price, tuple(demands))

    def _longer(self, segment: Segment, until: int) -> list[Demand]:
        """Demand for what other sequences hold of this prompt, until at least this step.

        A shared prefix is promised until then. Blocks that one sequence still counts alone are
        checked as if they were needed twice; they move out of it once the prefix is shared.
        """
        demands = []
        for row, count in self.shared_prefixes.parts(self._held_part(segment)):
            more = self._promises.beyond if self._is_common(row) else self._promises.beside
            demands.append(more(row, count * self._chunk_tokens, until))
        return demands

    def _held_part(self, segment: Segment) -> PrefixHashes:
        return segment.prefix_hashes[: segment.held_tokens // self._chunk_tokens]

    def _delayed(self, prefill_tokens: int) -> int:
        """The latest step at which a prompt that arrives now has its first token.

        The engine computes prompts in order of arrival, in what decoding leaves free of each step.
        Further delay, on the way to the engine or in its queue, is learned.
        """
        steps = self.computing_steps(prefill_tokens) + self._lateness.steps
        return self.step + min(steps, DELAY_MAX_STEPS)

    def computing_steps(self, prefill_tokens: int) -> int:
        """Steps to compute a prompt that arrives now, in what decoding leaves free of each."""
        return -(-(self.backlog_tokens + prefill_tokens) // self.room_tokens())

    def room_tokens(self, more_sequences: int = 0) -> int:
        """Prompt tokens that fit into a step beside decoding, with `more_sequences` added."""
        return max(1, self.engine.max_batched_tokens - self.sequences - more_sequences)

    def grant(self, claim: Claim) -> Lease:
        """Open a lease on a claim of this very moment."""
        price = claim.price
        lease = Lease(self._next_id, price, reserved=price.segments[0].reserved)
        self._next_id += 1
        self.leases[lease.lease_id] = lease
        step, begin = self.step, self._delayed(price.prefill_tokens)
        shared: dict[int, list[int]] = {}  # prompt index -> shared prefixes
        for segment, demand in zip(price.segments, claim.demands, strict=False):
            under = shared.get(segment.prompt_index)
            if under is None:
                under = shared[segment.prompt_index] = self._shared_prefixes_for(segment)
            row = self._open(segment, lease, under)
            self._table.note_demand(row, anchor=step, begin=begin)
            self._promises.give(row, demand)
            self._prolong(under, demand.end_step)
        self._again = None
        lease.rows = tuple(lease.live)
        self.sequences += price.sequences
        self._lateness.expect(lease.rows, step + self.computing_steps(0))
        return lease

    def _open(self, segment: Segment, lease: Lease, under: list[int]) -> int:
        index = segment.prompt_index
        begins = index not in lease.prompt_of.values()
        row = self._table.add(
            prompt_tokens=segment.prompt_tokens,
            predicted_tokens=segment.outlook.good_until(0),
            is_branch=segment.sequences > 0,
        )
        self._owner[row] = lease
        self._outlooks[row] = segment.outlook
        lease.prompt_of[row] = index
        echoes = begins or index in lease.live.values()
        echoed = sum(map(self._table.prompt_tokens, under)) if echoes else 0
        self._to_prefill.add(row, under, echoed_tokens=echoed, cached_tokens=segment.cached_tokens)
        if segment.sequences:
            self.shared_prefixes.stand(row, under)
            lease.live[row] = index
        else:
            self.shared_prefixes.plant(row)
            lease.shared_prefixes[index] = row
            under.append(row)
        self.shared_prefixes.name(
            row, segment.prefix_hashes[segment.held_tokens // self._chunk_tokens :]
        )
        return row

    # -- ending ----------------------------------------------------------------------------

    def end_sequence(self, row: int) -> Lease | None:
        """The engine has freed this sequence; the last of a lease frees the shared prompt too.

        Returns its lease, or None when the row has ended before.
        """
        lease = self._owner.get(row)
        if lease is None:
            return None
        index, until = lease.live.pop(row), self._promises.end_step(row)
        lease.note_produced(row, self._table.generated(row))
        self._again = None
        self._to_prefill.pass_on((row,))
        self._free(row)
        self.sequences -= 1
        stay, left = self.shared_prefixes.leave(row)
        for shared_prefix in left:
            if lease.shared_prefixes.get(index) == shared_prefix:
                del lease.shared_prefixes[index]
            self._free(shared_prefix)
        for shared_prefix in stay:
            if self._is_common(shared_prefix) and self._promises.end_step(shared_prefix) <= until:
                self._keep(
                    shared_prefix,
                    max(map(self._promises.end_step, self.shared_prefixes.on(shared_prefix))),
                )
        return lease

    def close(self, lease_id: int) -> None:
        """End whatever the lease still holds and forget it; unknown ids are a caller's bug."""
        lease = self.leases.pop(lease_id)
        for row in list(lease.live):
            self.end_sequence(row)

    def _free(self, row: int) -> None:
        self._promises.take_back(row)
        if row in self._owner:
            self._owner.pop(row).prefilled_tokens += self._table.computed_tokens(row)
            del self._outlooks[row]
        self._held = None
        self.shared_prefixes.forget(row)
        self._to_prefill.drop(row)
        self._lateness.forget(row)
        self._table.remove(row)

    def stop_prefill(self, lease: Lease) -> None:
        """The lease is being aborted: prompt tokens computed from now on belong to other leases.

        Tokens counted for this lease vanish with it, so none of another lease may be among them.
        """
        self._to_prefill.stop(lease.live)

    # -- sharing ---------------------------------------------------------------------------

    def _shared_prefixes_for(self, segment: Segment) -> list[int]:
        """The shared prefixes that cover what others hold of this prompt; made where missing."""
        shared_prefixes = []
        for row, count in self.shared_prefixes.parts(self._held_part(segment)):
            whole = self._table.prompt_tokens(row) == count * self._chunk_tokens
            if not (whole and self.shared_prefixes.is_shared_prefix(row)):
                shared_prefixes.append(self._split(row, count))
                continue
            if not self._is_common(row):
                self._keep(row, self._promises.end_step(row))
            shared_prefixes.append(row)
        return shared_prefixes

    def _is_common(self, row: int) -> bool:
        """Whether the row is a shared prefix that belongs to no single lease."""
        return self.shared_prefixes.is_shared_prefix(row) and row not in self._owner

    def _split(self, row: int, count: int) -> int:
        """The first `count` chunks of a row become a shared prefix, which the row then uses."""
        tokens, until = count * self._chunk_tokens, self._promises.end_step(row)
        shared_prefix = self._table.split(row, tokens)
        self._to_prefill.split(row, shared_prefix)
        if row in self._owner:
            self._owner[row].prefilled_tokens += tokens  # it is computed for this lease, or will be
        self.shared_prefixes.split(row, count, shared_prefix)
        self._keep(shared_prefix, until)
        if self.shared_prefixes.is_shared_prefix(row):
            self._keep(row, until)
        else:
            self._promise_anew(row)
        return shared_prefix

    def _keep(self, shared_prefix: int, until: int) -> None:
        """A shared prefix is promised until the last sequence that uses it may end."""
        ramp = self._promises.until(self._table.prompt_tokens(shared_prefix), until)
        self._promises.give_anew(shared_prefix, ramp)

    def _prolong(self, shared_prefixes: Iterable[int], until: int) -> None:
        for shared_prefix in shared_prefixes:
            if self._promises.end_step(shared_prefix) < until:
                self._keep(shared_prefix, until)

    # -- what the engine reports -----------------------------------------------------------

    def prefilled(self, tokens: int) -> list[int]:
        """Attribute prompt tokens that the engine computed or found cached.

        Returns the rows that it started on.
        """
        self._held = None
        return self._to_prefill.attribute(tokens)

    def progress(self, rows: Rows, generated: Rows) -> list[int]:
        """Set the tokens of each running sequence; returns the rows that need a new prediction.

        Moves the clock by the mean gain of those that gained: an engine that only computes
        prompts brings no running sequence closer to its end.
        """
        gain, outlived = self._table.advance(rows, generated)
        self.clock += gain
        self.step = floor(self.clock)
        self.curve.advance_to(self.step)
        if self._to_prefill:
            for row in self._table.begun_incomplete():
                self._fully_computed(row)
        self._held = None
        for row in self._table.strayed(self.step, TOLERANCE_STEPS)[:_NEW_PROMISES_PER_RECORD]:
            self._promise_anew(row)
        return outlived

    def _fully_computed(self, row: int) -> None:
        for each in (*self.shared_prefixes.under(row), row):
            self._to_prefill.complete(each)

    def _promise_anew(self, row: int) -> None:
        """Replace the demand of a sequence by one for the rest of it."""
        fate, lease = self._fate(row), self._owner[row]
        self._table.note_demand(row, anchor=self.step - fate.produced, begin=fate.begin_step)
        rest = self._promises.rest(
            self._table.prompt_tokens(row),
            fate,
            reserved=lease.reserved,
            entwined=len(lease.price.segments),
        )
        self._promises.give_anew(row, rest)
        self._hold_under(row, rest, fate)

    def _fate(self, row: int) -> Fate:
        """What is expected of a sequence from now on."""
        generated, begin = self._table.generated(row), self._table.begin(row)
        if generated:
            begin = self.step
        elif begin < self.step:
            begin = self._overdue(row)
        return Fate(self._outlooks[row], begin, generated)

    def _hold_under(self, row: int, rest: Ramp, fate: Fate) -> None:
        """Shared prefixes of a sequence are promised as long as the sequence may run."""
        lease, until = self._owner[row], rest.end_step
        for shared_prefix in self.shared_prefixes.under(row):
            on, tokens = (
                self.shared_prefixes.on(shared_prefix),
                self._table.prompt_tokens(shared_prefix),
            )
            if any(self._owner.get(each) is not lease for each in (shared_prefix, *on)):
                self._prolong((shared_prefix,), until)
            elif self._promises.end_step(shared_prefix) <= until:
                all_on_it = fate._replace(copies=len(on))
                ramp = self._promises.under(tokens, all_on_it, entwined=rest.entwined)
                self._promises.give_anew(shared_prefix, ramp)

    def _overdue(self, row: int) -> int:
        more = self.computing_steps(0) + self._lateness.overdue(row, self.step)
        return self.step + min(more, DELAY_MAX_STEPS)

    def repredict(self, row: int, outlook: Outlook) -> None:
        """Expect something else of a row from now on."""
        self._outlooks[row] = outlook
        self._table.repredict(row, outlook.good_until(self._table.generated(row)))
        self._promise_anew(row)

    # -- readings --------------------------------------------------------------------------

    def computed_tokens(self, row: int) -> int:
        """Prompt tokens that are computed of a sequence that has not ended, the shared included."""
        return sum(map(self._table.computed_tokens, (*self.shared_prefixes.under(row), row)))

    def full_blocks(self, row: int) -> int:
        """Blocks that a sequence that has not ended has filled, the shared included."""
        tokens = self.computed_tokens(row) + self._table.generated(row)
        return tokens // self.engine.block_tokens

    def echoed_tokens(self, row: int) -> int:
        """Prompt tokens that the engine will report for this row and a shared prefix counts."""
        return self._to_prefill.echoed_tokens(row)

    def lease_of(self, row: int) -> Lease | None:
        """The lease of a sequence that has not ended."""
        return self._owner.get(row)

    def generated_tokens(self, row: int) -> int:
        """Tokens a sequence has produced; 0 once it has ended."""
        return self._table.generated(row) if row in self._owner else 0

    def predicted_tokens(self, row: int) -> int:
        """Tokens until which the prediction of a sequence holds; 0 once it has ended.

        Where it is known, this is its length.
        """
        return self._table.predicted(row) if row in self._owner else 0

    def used_by(self, lease: Lease) -> Used:
        """What a lease has taken of the engine so far."""
        table = self._table
        missing = sum(table.missing(row) for row in (*lease.shared_prefixes.values(), *lease.live))
        held = sum(
            table.prompt_tokens(row) for row in (*lease.shared_prefixes.values(), *lease.live)
        )
        produced = [
            lease.produced[row] if row in lease.produced else table.generated(row)
            for row in lease.rows
        ]
        return used(
            lease.price,
            prefilled_tokens=lease.prefilled_tokens + held - missing,
            produced=produced,
            block_tokens=self.engine.block_tokens,
        )

    def lease_blocks(self, lease: Lease) -> int:
        """Blocks a lease holds now, those that others hold too included."""
        rows = {
            *lease.live,
            *(
                shared_prefix
                for row in lease.live
                for shared_prefix in self.shared_prefixes.under(row)
            ),
        }
        return sum(self._table.blocks(row) for row in rows)
