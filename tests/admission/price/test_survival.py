"""What lengths say about the next one when some of them were cut off by their limit."""

import random

import pytest

from admission.price.survival import RECENT, RecentLengths


def seen(*lengths: tuple[int, bool]) -> RecentLengths:
    """(tokens, cut) in order of arrival."""
    recent = RecentLengths()
    for tokens, cut in lengths:
        recent.add(tokens, cut=cut)
    return recent


def test_without_cuts_it_is_the_plain_quantile_and_mean() -> None:
    recent = seen(*((tokens, False) for tokens in range(1, 101)))
    assert recent.quantile(0.9, limit=1000) == 91
    assert recent.quantile(0.5, limit=1000) == 51
    assert recent.mean(limit=1000) == 51
    assert recent.mean(limit=10) == 10  # 1 + 0.99 + 0.98 + ... = 9.55, rounded up


def test_answers_that_all_ran_into_their_limit_promise_no_end() -> None:
    recent = seen(*((tokens, True) for tokens in range(100, 150)))
    assert recent.quantile(0.9, limit=300) == 300
    assert recent.mean(limit=300) == 300


def test_a_cut_answer_counts_as_living_until_its_cut() -> None:
    # by hand: S(10) = 3/4, S(30) = 3/4 x 1/2; the one cut at 20 is at risk at 10, not at 30
    recent = seen((10, False), (20, True), (30, False), (40, True))
    assert recent.quantile(0.25, limit=100) == 30
    assert recent.quantile(0.6, limit=100) == 30
    assert recent.quantile(0.7, limit=100) == 100
    assert recent.mean(limit=100) == 52  # 10 + 20 x 0.75 + 70 x 0.375 = 51.25


def test_given_what_was_produced_only_the_longer_ones_speak() -> None:
    recent = seen(*[(10, False)] * 90, *[(200, False)] * 8, *[(300, False)] * 2)
    assert recent.longer_than(10) == 10
    assert recent.quantile(0.9, limit=500) == 200
    assert recent.quantile(0.9, limit=500, above=10) == 300
    assert recent.quantile(0.9, limit=250, above=10) == 250


def test_lengths_behind_their_limits_are_recovered() -> None:
    """True lengths are one distribution; every request has a limit of its own."""
    rng = random.Random(3)
    recent, naive = RecentLengths(), RecentLengths()
    for _ in range(400):
        tokens, limit = int(rng.expovariate(1 / 200)) + 1, rng.randint(1, 600)
        recent.add(min(tokens, limit), cut=tokens > limit)
        naive.add(min(tokens, limit), cut=False)
    truth = 460  # 200 x ln 10
    assert recent.quantile(0.9, limit=2000) == pytest.approx(truth, rel=0.2)
    assert naive.quantile(0.9, limit=2000) < 0.75 * truth


def test_the_oldest_are_forgotten_with_their_kind() -> None:
    recent = seen(*[(50, True)] * 200, *[(50, False)] * 200)
    for _ in range(200):
        recent.add(7, cut=False)
    assert (recent.count, recent.longer_than(7)) == (400, 200)
    assert recent.quantile(0.9, limit=100) == 50  # the 200 left all ended at 50, none was cut


def test_an_empty_answer_counts() -> None:
    recent = seen(*[(0, False)] * 5)
    assert recent.quantile(0.9, limit=10) == 0
    assert recent.mean(limit=10) == 0


def young(ended: range, running: list[int]) -> RecentLengths:
    """A class of which these ended while others are so far."""
    recent = RecentLengths(lambda: running)
    for tokens in ended:
        recent.add(tokens, cut=False)
    return recent


def test_those_that_still_run_count_as_cut_where_they_are() -> None:
    recent = young(range(1, 11), [5, 0])  # at risk until 5: S(5) = 6/11, then 1/5 of it a token
    assert recent.survival.share_longer(4) == pytest.approx(7 / 11)
    assert recent.survival.share_longer(6) == pytest.approx(6 / 11 * 4 / 5)
    assert recent.survival.share_longer(10) == 0


def test_what_has_outlived_all_that_ended_is_taken_to_be_half_way() -> None:
    recent = young(range(1, 11), [40] * 10)
    assert recent.quantile(0.4, limit=1000) == 9
    assert recent.quantile(0.6, limit=1000) == 80
    assert recent.longer_than(40) == 10


def test_of_a_class_with_many_ends_those_that_run_tell_nothing_new() -> None:
    recent = young(range(1, RECENT + 1), [5000] * 100)
    assert recent.quantile(0.99, limit=10_000) <= RECENT
