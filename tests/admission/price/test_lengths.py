"""What the lengths of past answers say about the next one."""

import random

import pytest

from admission.price.lengths import ClassKey, OutputLengths, class_keys
from admission.terms.settings import Settings

SETTINGS = Settings()
KEYS = class_keys("a", 100, 500)


def learned(lengths: list[int], keys: tuple[ClassKey, ...] = KEYS) -> OutputLengths:
    """What these finished answers teach."""
    known = OutputLengths()
    for tokens in lengths:
        known.learn(keys, tokens)
    return known


def test_a_cold_start_prices_the_prior_but_never_above_the_limit() -> None:
    cold = OutputLengths()
    assert cold.predict(KEYS, SETTINGS, max_tokens=4000).tokens == 1024
    short = cold.predict(KEYS, SETTINGS, max_tokens=500)
    assert (short.tokens, short.known, short.samples) == (500, False, 0)


def test_fifty_answers_make_a_class_known() -> None:
    assert learned([10] * 49).predict(KEYS, SETTINGS, max_tokens=500).tokens == 500
    known = learned([10] * 50).predict(KEYS, SETTINGS, max_tokens=500)
    assert (known.tokens, known.samples, known.class_key) == (10, 50, KEYS[0])


def test_before_that_its_mean_is_good_enough_for_a_waiting_time() -> None:
    cold = learned([10] * 5).predict(KEYS, SETTINGS, max_tokens=4000)
    assert (cold.tokens, cold.expected_tokens) == (1024, 10)
    colder = learned([10] * 4).predict(KEYS, SETTINGS, max_tokens=4000)
    assert (colder.tokens, colder.expected_tokens) == (1024, 1024)


@pytest.mark.parametrize(
    ("tenant", "prompt_tokens", "max_tokens", "level"),
    [("a", 100, 500, 0), ("b", 100, 500, 1), ("b", 5000, 500, 2), ("b", 5000, 4000, 3)],
)
def test_an_unknown_class_falls_back_to_its_nearest_known_parent(
    tenant: str, prompt_tokens: int, max_tokens: int, level: int
) -> None:
    keys = class_keys(tenant, prompt_tokens, max_tokens)
    predicted = learned([10] * 50).predict(keys, SETTINGS, max_tokens=max_tokens)
    assert predicted.tokens == 10
    assert predicted.class_key == keys[level]


def test_a_class_of_its_own_wins_over_its_parents() -> None:
    known = learned([10] * 50)
    other = class_keys("b", 100, 500)
    for _ in range(50):
        known.learn(other, 400)
    assert known.predict(KEYS, SETTINGS, max_tokens=500).tokens == 10
    assert known.predict(other, SETTINGS, max_tokens=500).tokens == 400


def test_a_fixed_length_needs_no_guess() -> None:
    known = learned([10] * 50)
    for fixed in ({"ignore_eos": True}, {"min_tokens": 300}):
        predicted = known.predict(KEYS, SETTINGS, max_tokens=300, **fixed)  # type: ignore[arg-type]
        assert (predicted.tokens, predicted.known) == (300, True)


def test_an_answer_is_at_least_as_long_as_asked_for() -> None:
    predicted = learned([10] * 50).predict(KEYS, SETTINGS, max_tokens=500, min_tokens=200)
    assert (predicted.tokens, predicted.expected_tokens, predicted.known) == (200, 200, False)


def test_the_price_is_a_quantile_and_the_mean_is_beside_it() -> None:
    predicted = learned(list(range(1, 101))).predict(KEYS, SETTINGS, max_tokens=500)
    assert (predicted.tokens, predicted.median_tokens, predicted.expected_tokens) == (91, 51, 51)


def test_the_quantile_covers_what_it_promises() -> None:
    rng = random.Random(7)
    for quantile in (0.5, 0.9, 0.95):
        settings = Settings(output_quantile=quantile)
        known = OutputLengths()
        covered = []
        for _ in range(4000):
            tokens = min(500, int(rng.lognormvariate(4.5, 0.8)) + 1)
            covered.append(tokens <= known.predict(KEYS, settings, max_tokens=500).tokens)
            known.learn(KEYS, tokens)
        assert sum(covered[400:]) / len(covered[400:]) == pytest.approx(quantile, abs=0.03)


def test_old_answers_are_forgotten() -> None:
    known = learned([400] * 400 + [10] * 400)
    assert known.predict(KEYS, SETTINGS, max_tokens=500).tokens == 10


def test_what_is_expected_of_a_running_answer_is_its_class_up_to_its_limit() -> None:
    known = learned([10] * 90 + [200] * 8 + [300] * 2)
    outlook = known.outlook(KEYS, SETTINGS, produced=10, max_tokens=500)
    assert (outlook.most_tokens, outlook.survival is None) == (300, False)
    assert known.outlook(KEYS, SETTINGS, produced=10, max_tokens=250).most_tokens == 250


def test_who_outlives_the_whole_class_is_given_half_as_much_again() -> None:
    known = learned([10] * 50)
    for knows, produced, most in ((known, 10, 74), (known, 200, 300), (OutputLengths(), 480, 500)):
        outlook = knows.outlook(KEYS, SETTINGS, produced=produced, max_tokens=500)
        assert (outlook.most_tokens, outlook.survival) == (most, None)


def test_classes_are_bounded_and_the_unused_are_forgotten() -> None:
    known = OutputLengths()
    for number in range(5000):
        known.learn(class_keys(f"tenant-{number}", 100, 500), 10)
    assert len(known._classes) <= 4096
    newest = class_keys("tenant-4999", 100, 500)
    assert newest[0] in known._classes
    assert class_keys("tenant-0", 100, 500)[0] not in known._classes


def test_a_class_can_become_known_however_many_are_asked_for() -> None:
    patient = Settings(cold_start_requests=10_000)
    assert learned([10] * 400).predict(KEYS, patient, max_tokens=500).tokens == 10


def test_every_lesson_makes_older_prices_stale() -> None:
    known = OutputLengths()
    before = known.version
    known.learn(KEYS, 10)
    assert known.version > before
