"""What is expected of an answer, given what it has produced."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.price.outlook import SHARES, Counts, Fate, Outlook, shares
from tests.admission.examples import seen

LENGTHS = st.lists(st.integers(1, 120), min_size=1, max_size=12)


def shares_longer(outlook: Outlook, at: Counts, produced: int) -> Counts:
    """The share, of those that have `produced`, that is longer than this."""
    (row,) = shares([Fate(outlook, 0, produced)], at - produced)
    return row


def tokens(*values: int) -> Counts:
    return np.array(values, dtype=np.int64)


@given(LENGTHS, st.integers(0, 120), st.integers(0, 150))
def test_shares_are_conditional_on_what_was_produced_and_a_sixth_above_at_most(
    lengths: list[int], produced: int, most: int
) -> None:
    as_long = [each for each in lengths if each > produced]
    if not as_long:
        return
    at = np.arange(produced, 160, 7, dtype=np.int64)
    likely = shares_longer(Outlook(max(most, produced + 1), seen(*lengths)), at, produced)
    for step, share in zip(at.tolist(), likely.tolist(), strict=True):
        longer = sum(each > step for each in as_long) if step < max(most, produced + 1) else 0
        exact = longer / len(as_long)
        assert exact <= share / SHARES <= min(1.0, exact / 0.85) + 1 / SHARES


@given(LENGTHS, st.integers(0, 120))
def test_an_outlook_is_good_until_three_tenths_of_its_like_have_ended(
    lengths: list[int], produced: int
) -> None:
    as_long = [each for each in lengths if each > produced]
    if not as_long:
        return
    until = Outlook(max(lengths), seen(*lengths)).good_until(produced)
    assert until > produced
    if until > produced + 1:
        assert sum(each > until - 1 for each in as_long) >= 0.7 * len(as_long)
    assert sum(each > until for each in as_long) <= 0.7 * len(as_long)


def test_a_known_length_needs_no_other_outlook_before_its_end() -> None:
    known = Outlook(100)
    assert known.good_until(0) == known.good_until(100) == 100


def test_several_at_once_are_as_each_alone() -> None:
    curves = seen(10, 20, 90), seen(30, 60, cut=True)
    at = np.arange(0, 160, 16, dtype=np.int64)
    fates = [
        Fate(Outlook(120, curve, least_tokens=least), begin, produced, copies)
        for curve in curves
        for least in (0, 40)
        for begin, produced, copies in ((0, 0, 1), (7, 0, 3), (-5, 15, 1), (0, 33, 1))
    ]
    alone = np.concatenate([shares([fate], at) for fate in fates])
    assert (shares(fates, at) == alone).all()


def test_an_answer_is_at_least_as_long_as_asked_for() -> None:
    asked = Outlook(100, seen(10, 20, 100, 100), least_tokens=50)
    likely = shares_longer(asked, tokens(0, 49, 50, 99, 100), 0)
    assert (likely[:2] == SHARES).all()
    assert likely[2:].tolist() == [pytest.approx(SHARES / 2 / 0.85, abs=1)] * 2 + [0]
    assert asked.good_until(0) == 50
    assert asked.good_until(50) == 100


def test_a_class_of_cut_answers_knows_no_end_before_the_limit() -> None:
    cut = Outlook(400, seen(50, 60, 70, cut=True))
    assert (shares_longer(cut, tokens(0, 100, 399, 400), 0) == tokens(1, 1, 1, 0) * SHARES).all()
    assert cut.good_until(0) == 400


def test_one_that_outlived_all_others_runs_now_and_no_longer() -> None:
    likely = shares_longer(Outlook(100, seen(10, 20)), tokens(25, 41, 57), 30)
    assert likely.tolist() == [SHARES, 0, 0]


def test_several_copies_are_at_work_until_the_last_ends() -> None:
    outlook = Outlook(64, seen(16, 16, 16, 64))
    alone, three = Fate(outlook, 100), Fate(outlook, 100, copies=3)
    at = tokens(100, 116, 164)
    one, all_of_them = shares([alone, three], at).tolist()
    assert one == [SHARES, pytest.approx(SHARES / 4 / 0.85, abs=1), 0]
    assert all_of_them == [SHARES, pytest.approx(SHARES * 3 / 4 / 0.85, abs=3), 0]
    assert (alone.end_step, Fate(outlook, 100, produced=60).end_step) == (164, 104)
