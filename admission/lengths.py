"""How long the answer will be: quantiles of what each traffic class really produced.

A class is (tenant, bucket of prompt length, bucket of max_tokens), with buckets by powers of two;
a class not yet known falls back to the same buckets over all tenants, then to the bucket of
max_tokens alone, then to everything.
"""

from bisect import bisect_right, insort
from collections import OrderedDict, deque
from dataclasses import dataclass

from admission.settings import Settings

_SAMPLES_PER_CLASS = 400  # enough for a stable q95, few enough to follow a shift within minutes
_MAX_CLASSES = 4096  # bound on memory; the class unused longest is forgotten
_MIN_SURVIVORS = 5  # fewer samples above the produced length say nothing about the rest
_MIN_EXTENSION_TOKENS = 64  # what a request that outlived its whole class is given next

ClassKey = tuple[str | int, ...]

_EVERYTHING: ClassKey = ("all",)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted output: `tokens` is the quantile it is priced by, `expected_tokens` its mean.

    `known` when the request fixes it; `samples` lengths are behind it (0: cold).
    """

    tokens: int
    median_tokens: int
    expected_tokens: int
    known: bool
    samples: int
    class_key: ClassKey


class _Samples:
    """The last lengths of one class, in order of arrival and sorted."""

    __slots__ = ("order", "ranked", "total")

    def __init__(self) -> None:
        self.order: deque[int] = deque()
        self.ranked: list[int] = []
        self.total = 0

    def add(self, tokens: int) -> None:
        if len(self.order) == _SAMPLES_PER_CLASS:
            oldest = self.order.popleft()
            del self.ranked[bisect_right(self.ranked, oldest) - 1]
            self.total -= oldest
        self.order.append(tokens)
        insort(self.ranked, tokens)
        self.total += tokens

    @property
    def mean(self) -> int:
        """Mean length, rounded up."""
        return -(-self.total // len(self.order))

    def quantile(self, q: float, *, above: int = 0) -> int | None:
        """The q-quantile of the samples > `above`; None when fewer than five are."""
        start = bisect_right(self.ranked, above)
        survivors = len(self.ranked) - start
        if survivors < _MIN_SURVIVORS:
            return None
        return self.ranked[start + min(survivors - 1, int(q * survivors))]


def class_keys(tenant: str, prompt_tokens: int, max_tokens: int) -> tuple[ClassKey, ...]:
    """The class of a request and its parents, most specific first."""
    prompt, limit = prompt_tokens.bit_length(), max_tokens.bit_length()
    return (
        ("tenant", tenant, prompt, limit),
        ("any", prompt, limit),
        ("limit", limit),
        _EVERYTHING,
    )


class OutputLengths:
    """Learns finished lengths and predicts new ones; `version` grows with every lesson."""

    def __init__(self) -> None:
        self._classes: OrderedDict[ClassKey, _Samples] = OrderedDict()
        self.version = 0

    def learn(self, keys: tuple[ClassKey, ...], output_tokens: int) -> None:
        """Add one finished length to a class and its parents."""
        for key in keys:
            samples = self._classes.pop(key, None) or _Samples()
            self._classes[key] = samples  # most recently used last
            samples.add(output_tokens)
        while len(self._classes) > _MAX_CLASSES:
            self._classes.popitem(last=False)
        self.version += 1

    def predict(
        self,
        keys: tuple[ClassKey, ...],
        settings: Settings,
        *,
        max_tokens: int,
        min_tokens: int = 0,
        ignore_eos: bool = False,
    ) -> Prediction:
        """Output of a request not yet started, at the quantile of `settings`."""
        if ignore_eos or min_tokens >= max_tokens:
            return Prediction(max_tokens, max_tokens, max_tokens, True, 0, keys[0])
        key, samples = self._known(keys, settings)
        if samples is None:
            guess = _within(settings.cold_start_output_tokens, min_tokens, max_tokens)
            expected = min(guess, self._first_guess(guess))
            return Prediction(guess, expected, expected, False, 0, key)
        # min_tokens cuts the distribution from below, it does not shift it
        high = samples.quantile(settings.output_quantile) or max_tokens
        middle = samples.quantile(0.5) or max_tokens
        return Prediction(
            _within(high, min_tokens, max_tokens),
            _within(middle, min_tokens, max_tokens),
            _within(samples.mean, min_tokens, max_tokens),
            False,
            len(samples.order),
            key,
        )

    def _first_guess(self, otherwise: int) -> int:
        """Mean of whatever has finished: no ground for a price, but better for a waiting time."""
        everything = self._classes.get(_EVERYTHING)
        if everything is None or len(everything.order) < _MIN_SURVIVORS:
            return otherwise
        return everything.mean

    def extend(
        self, keys: tuple[ClassKey, ...], settings: Settings, *, produced: int, max_tokens: int
    ) -> int:
        """New total for an answer that has all it was predicted to, at most `max_tokens`."""
        _, samples = self._known(keys, settings)
        longer = samples.quantile(settings.output_quantile, above=produced) if samples else None
        if longer is None:
            longer = produced + max(_MIN_EXTENSION_TOKENS, produced // 2)
        return min(max_tokens, longer)

    def _known(
        self, keys: tuple[ClassKey, ...], settings: Settings
    ) -> tuple[ClassKey, _Samples | None]:
        enough = min(max(_MIN_SURVIVORS, settings.cold_start_requests), _SAMPLES_PER_CLASS)
        for key in keys:
            samples = self._classes.get(key)
            if samples and len(samples.order) >= enough:
                return key, samples
        return keys[0], None


def _within(tokens: int, low: int, high: int) -> int:
    return min(max(tokens, low, 1), high)
