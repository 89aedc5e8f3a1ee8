"""Predicted output lengths: quantiles of what each traffic class has produced.

A class is (tenant, bucket of prompt length, bucket of max_tokens), with buckets by powers of two;
a class not yet known falls back to the same buckets over all tenants, then to the bucket of
max_tokens alone, then to everything.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from admission.price.outlook import Outlook
from admission.price.survival import RECENT, RecentLengths
from admission.terms.settings import Settings

_MAX_CLASSES = 4096  # bound on memory; the class unused longest is forgotten
_MIN_SURVIVORS = 5  # with fewer samples above the produced length, the rest is unknown
_MIN_EXTENSION_TOKENS = 64  # what a request that outlived its whole class is given next

ClassKey = tuple[str | int, ...]

_EVERYTHING: ClassKey = ("all",)


class Prediction(NamedTuple):
    """Predicted output: `tokens` is the quantile that is shown, `expected_tokens` the mean.

    The KV cache is promised by its `outlook`. `known` when the request fixes it; `samples` lengths
    are behind it (0: cold).
    """

    tokens: int
    median_tokens: int
    expected_tokens: int
    known: bool
    samples: int
    class_key: ClassKey
    outlook: Outlook


def class_keys(tenant: str, prompt_tokens: int, max_tokens: int) -> tuple[ClassKey, ...]:
    """The class of a request and its parents, most specific first."""
    prompt, limit = prompt_tokens.bit_length(), max_tokens.bit_length()
    return (
        ("tenant", tenant, prompt, limit),
        ("any", prompt, limit),
        ("limit", limit),
        _EVERYTHING,
    )


class _ClassLengths(RecentLengths):
    """Those of one class, and what was predicted by them since the last lesson."""

    __slots__ = ("predictions",)

    def __init__(self, running: Callable[[], Iterable[int]]) -> None:
        super().__init__(running)
        self.predictions: dict[tuple[float, int, int], Prediction] = {}  # by quantile and limits

    def add(self, tokens: int, *, cut: bool) -> None:
        super().add(tokens, cut=cut)
        self.predictions.clear()


class OutputLengths:
    """Learns finished lengths and predicts new ones; `version` grows with every lesson."""

    def __init__(self, running: Callable[[ClassKey], Iterable[int]] = lambda _: ()) -> None:
        """`running` returns the tokens so far of each running completion of a class."""
        self._running = running
        self._classes: OrderedDict[ClassKey, _ClassLengths] = OrderedDict()
        self.version = 0

    def learn(self, keys: tuple[ClassKey, ...], output_tokens: int, *, cut: bool = False) -> None:
        """Add one length to a class and its parents; `cut` when its limit ended it."""
        for key in keys:
            samples = self._classes.pop(key, None) or _ClassLengths(partial(self._running, key))
            self._classes[key] = samples  # most recently used last
            samples.add(output_tokens, cut=cut)
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
            exactly = Outlook(max_tokens)
            return Prediction(max_tokens, max_tokens, max_tokens, True, 0, keys[0], exactly)
        key, samples = self._known(keys, settings)
        if samples is None:
            guess = _within(settings.cold_start_output_tokens, min_tokens, max_tokens)
            expected = self._first_guess(guess)
            return Prediction(guess, expected, expected, False, 0, key, Outlook(guess))
        asked = settings.output_quantile, min_tokens, max_tokens
        known = samples.predictions.get(asked)
        if known is None:
            known = samples.predictions[asked] = _predicted(samples, key, *asked)
        return known

    def _first_guess(self, limit: int) -> int:
        """Mean of all finished lengths: too weak for a price, good enough for a waiting time."""
        everything = self._classes.get(_EVERYTHING)
        if everything is None or everything.count < _MIN_SURVIVORS:
            return limit
        return everything.mean(limit=limit)

    def outlook(
        self,
        keys: tuple[ClassKey, ...],
        settings: Settings,
        *,
        produced: int,
        max_tokens: int,
        min_tokens: int = 0,
    ) -> Outlook:
        """Outlook of a running completion with `produced` tokens so far."""
        _, samples = self._known(keys, settings)
        if samples and samples.longer_than(produced) >= _MIN_SURVIVORS:
            return _learned(samples, min_tokens, max_tokens)
        return Outlook(min(max_tokens, produced + max(_MIN_EXTENSION_TOKENS, produced // 2)))

    def likely(
        self,
        keys: tuple[ClassKey, ...],
        settings: Settings,
        *,
        count: int,
        max_tokens: int,
        produced: int = 0,
    ) -> list[int]:
        """`count` equally likely total lengths of a running completion, shortest first."""
        _, samples = self._known(keys, settings)
        samples = samples or self._classes.get(_EVERYTHING)
        if samples and samples.longer_than(produced) >= _MIN_SURVIVORS:
            return samples.parts(count, limit=max_tokens, above=produced)
        more = max(2 * produced, settings.cold_start_output_tokens)
        return [min(max_tokens, produced + 1 + more * part // count) for part in range(count)]

    def _known(
        self, keys: tuple[ClassKey, ...], settings: Settings
    ) -> tuple[ClassKey, _ClassLengths | None]:
        enough = min(max(_MIN_SURVIVORS, settings.cold_start_requests), RECENT)
        for key in keys:
            samples = self._classes.get(key)
            if samples is not None and samples.count >= enough:
                return key, samples
        return keys[0], None


def _predicted(
    samples: RecentLengths, key: ClassKey, quantile: float, min_tokens: int, max_tokens: int
) -> Prediction:
    """`min_tokens` cuts the distribution from below, it does not shift it."""
    high = samples.quantile(quantile, limit=max_tokens)
    middle = samples.quantile(0.5, limit=max_tokens)
    return Prediction(
        _within(high, min_tokens, max_tokens),
        _within(middle, min_tokens, max_tokens),
        _within(samples.mean(limit=max_tokens), min_tokens, max_tokens),
        False,
        samples.count,
        key,
        _learned(samples, min_tokens, max_tokens),
    )


def _learned(samples: RecentLengths, min_tokens: int, max_tokens: int) -> Outlook:
    survival = samples.survival
    longest = _within(survival.longest(max_tokens), min_tokens, max_tokens)
    return Outlook(longest, survival, min_tokens)


def _within(tokens: int, low: int, high: int) -> int:
    return min(max(tokens, low, 1), high)
