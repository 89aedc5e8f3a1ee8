"""How many tokens an answer had by the server's count, whichever way the server counts. Pure."""

from loadtests.client.chunk import Counts

_FAR = 0.5  # an event or two may be without usage: the role's, the end's


class Tally:
    """Hears every usage of one stream."""

    __slots__ = ("_falls", "_greatest", "_heard", "_last", "_sum", "_total", "cached", "prompt")

    def __init__(self) -> None:
        self.prompt: int | None = None
        self.cached: int | None = None
        self._heard = 0
        self._greatest = self._sum = self._last = 0
        self._falls = False
        self._total: int | None = None

    def hear(self, counts: Counts, *, alone: bool) -> None:
        """`alone`: the event had no choices, which is how a stream's total comes."""
        if counts.prompt is not None:
            self.prompt = max(counts.prompt, self.prompt or 0)
        if counts.cached is not None:
            self.cached = counts.cached
        if counts.output is None:
            return
        if alone and counts.output >= self._greatest:
            self._total = counts.output
        self._heard += 1
        if counts.output == 0:
            return  # a placeholder, or the role's: says nothing of the others
        self._falls |= counts.output < self._last
        self._last = counts.output
        self._sum += counts.output
        self._greatest = max(self._greatest, counts.output)

    def output(self, events: int) -> int | None:
        """The server's count; None where it said none, or 0 of an answer with `events`.

        Counts that grow are the answer's so far. Counts that fall, or stay far below the number of
        events with tokens, are of one event each.
        """
        if self._total:
            return self._total
        if not self._greatest and (events or not self._heard):
            return None
        each = self._heard > 1 and (self._falls or self._greatest <= events * _FAR)
        return self._sum if each else self._greatest
