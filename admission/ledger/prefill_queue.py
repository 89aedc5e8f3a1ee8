"""Prompts that the engine has still to compute, in its order; attributes reported tokens to rows.

The engine reports sums of prompt tokens, computed or found in its cache, and serves prompts in
order: so the oldest incomplete rows received them. A cache hit on a shared prefix is reported as
prompt tokens although the prefix row has counted them: such tokens (the *echo*) are skipped. The
first row of a sequence carries its echo.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from itertools import dropwhile

from admission.ledger.rows import RowTable
from admission.ledger.shared_prefixes import SharedPrefixes


class PrefillQueue:
    """Rows of one ledger's table; the ones of aborted leases come after all others.

    `backlog_tokens` are to be computed: not those foreseen in the cache, until the engine has
    started on a row; what is missing of it then is in no cache, whatever was foreseen.
    """

    def __init__(self, table: RowTable, shared_prefixes: SharedPrefixes) -> None:
        self.backlog_tokens = 0
        self._table = table
        self._shared_prefixes = shared_prefixes
        self._cached: dict[int, int] = {}  # rows not started on -> tokens foreseen in the cache
        self._coming: OrderedDict[int, int] = OrderedDict()  # row -> tokens of its echo
        self._aborted: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._coming) + len(self._aborted)

    def __contains__(self, row: object) -> bool:
        return row in self._coming or row in self._aborted

    def add(
        self, row: int, under: Sequence[int], *, echoed_tokens: int, cached_tokens: int
    ) -> None:
        """Append a row; it computes what aborted rows leave of its shared prefixes."""
        self._coming[row] = echoed_tokens
        self._cached[row] = cached_tokens
        self.backlog_tokens += self._table.missing(row) - cached_tokens
        for shared_prefix in reversed(under):
            if shared_prefix in self._aborted:
                self._take_over(shared_prefix, row)
                row = shared_prefix

    def drop(self, row: int) -> None:
        """The row is gone; it is still in the table."""
        self.backlog_tokens += self._cached.pop(row, 0) - self._table.missing(row)
        self._coming.pop(row, None)
        self._aborted.pop(row, None)

    def split(self, row: int, shared_prefix: int) -> None:
        """A new shared prefix took the beginning of a row."""
        if row in self._cached:
            self._cached[shared_prefix] = min(
                self._table.prompt_tokens(shared_prefix), self._cached[row]
            )
            self._cached[row] -= self._cached[shared_prefix]
        for queue in (self._coming, self._aborted):
            if row in queue and self._table.missing(shared_prefix):
                _put_before(queue, row, shared_prefix, queue[row])
                queue[row] = 0

    # -- leaving ---------------------------------------------------------------------------

    def stop(self, sequences: Collection[int]) -> None:
        """These are being aborted: prompt tokens computed from now on belong to other rows."""
        self.pass_on(sequences)
        for row in sequences:
            if row in self._coming:
                self._aborted[row] = self._coming.pop(row)

    def pass_on(self, leaving: Collection[int]) -> None:
        """A shared prefix that these were to compute passes to the next sequence that uses it."""
        for sequence in leaving:
            for shared_prefix in reversed(self._shared_prefixes.under(sequence)):
                if shared_prefix in self._coming:
                    self._find_heir(shared_prefix, leaving)

    def _find_heir(self, shared_prefix: int, leaving: Collection[int]) -> None:
        on = [
            row for row in self._coming if row != shared_prefix and self._stands(row, shared_prefix)
        ]
        if on and not self._leaves(on[0], leaving):
            return  # another sequence computes it
        heir = next((row for row in on if not self._leaves(row, leaving)), None)
        if heir is None:
            self._aborted[shared_prefix] = self._coming.pop(shared_prefix)
        else:
            self._take_over(shared_prefix, heir)

    def _stands(self, row: int, shared_prefix: int) -> bool:
        return any(
            shared_prefix in self._shared_prefixes.under(each) for each in self._sequences(row)
        )

    def _leaves(self, row: int, leaving: Collection[int]) -> bool:
        return all(each in leaving for each in self._sequences(row))

    def _sequences(self, row: int) -> tuple[int, ...]:
        return (
            self._shared_prefixes.on(row) if self._shared_prefixes.is_shared_prefix(row) else (row,)
        )

    def _take_over(self, shared_prefix: int, heir: int) -> None:
        """The heir was to find this shared prefix and computes what is missing of it."""
        for queue in (self._coming, self._aborted):
            queue.pop(shared_prefix, None)
        echo = max(0, self._coming[heir] - self._table.missing(shared_prefix))
        _put_before(self._coming, heir, shared_prefix, echo)
        self._coming[heir] = 0

    # -- what the engine reports -----------------------------------------------------------

    def attribute(self, tokens: int) -> list[int]:
        """The engine computed or found `tokens` of prompts; returns the rows it started on."""
        begun: list[int] = []
        for queue in (self._coming, self._aborted):
            while tokens > 0 and queue:
                row, echoed = next(iter(queue.items()))
                if row in self._cached:
                    begun.append(row)
                known = min(tokens, echoed)
                taken = min(tokens - known, self._table.missing(row))
                self._compute(row, taken)
                tokens -= known + taken
                queue[row] = echoed - known
                if not self._table.missing(row):
                    del queue[row]
        return begun

    def complete(self, row: int) -> None:
        """All of a row is computed, whatever was reported of it."""
        self._compute(row, self._table.missing(row))
        self._coming.pop(row, None)
        self._aborted.pop(row, None)

    def _compute(self, row: int, tokens: int) -> None:
        self._table.compute(row, tokens)
        self.backlog_tokens += self._cached.pop(row, 0) - tokens

    # -- readings --------------------------------------------------------------------------

    def echoed_tokens(self, row: int) -> int:
        """Tokens that the engine has still to report for this row and a shared prefix counts."""
        return self._coming.get(row, 0)

    def blocks_within(self, tokens: int) -> int:
        """Blocks that the next `tokens` computed tokens fill, cache hits before them included."""
        blocks = 0
        for row in self._coming:
            found = self._cached.get(row, 0)
            taken = min(tokens, self._table.missing(row) - found)
            more = self._table.blocks(row, computing=found + taken)
            blocks += more - self._table.blocks(row)
            tokens -= taken
            if not tokens:
                break
        return blocks


def _put_before(queue: OrderedDict[int, int], row: int, new: int, value: int) -> None:
    """`new` in front of `row`; all behind keep their order."""
    behind = list(dropwhile(lambda each: each != row, queue))
    queue[new] = value
    for each in behind:
        queue.move_to_end(each)
