"""How many of the predicted prefix-cache hits the engine found."""

from collections.abc import Iterable

_KEPT = 0.97  # per step in which it found or should have: some thirty are remembered


class CacheHits:
    """Forecasts by row, from the grant of a lease until the engine starts on it.

    `ratio` (0-1) is the share that was found of late; what is foreseen is believed in this part.
    `foreseen_tokens` and `found_tokens` are sums over all that were started.
    """

    def __init__(self) -> None:
        self._expected: dict[int, int] = {}
        self._recent_foreseen = self._recent_found = 0.0
        self.foreseen_tokens = self.found_tokens = 0

    @property
    def ratio(self) -> float:
        """1 while nothing is known."""
        if not self._recent_foreseen:
            return 1.0
        return min(1.0, self._recent_found / self._recent_foreseen)

    def expect(self, row: int, tokens: int) -> None:
        """Predict that the engine finds `tokens` of this row's prompt in its cache."""
        if tokens:
            self._expected[row] = tokens

    def forget(self, row: int) -> None:
        """The row has ended, started or not."""
        self._expected.pop(row, None)

    def see(self, begun: Iterable[int], found_tokens: int) -> None:
        """The engine started these rows in one step and found `found_tokens` for them in all."""
        foreseen = sum(self._expected.pop(row, 0) for row in begun)
        self.foreseen_tokens += foreseen
        self.found_tokens += found_tokens
        if foreseen or found_tokens:
            self._recent_foreseen = self._recent_foreseen * _KEPT + foreseen
            self._recent_found = self._recent_found * _KEPT + found_tokens
