"""The chance that more is held than promised, held against all that can happen."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.ledger.coming import Coming
from admission.ledger.curve import DemandCurve
from admission.ledger.demand import BUCKET_STEPS, Demand, Ramp
from admission.ledger.ledger import Ledger
from admission.price.footprint import EngineShape, blocks_for, price
from admission.price.outlook import SHARES, Counts, Fate, Outlook
from admission.terms.settings import Settings
from tests.admission.examples import engine, seen, shape
from tests.admission.traffic import Job, Traffic

BLOCK_TOKENS = 16
LONGEST = 320
SIGMAS = st.sampled_from([1.0, 2.0, 3.0])


def curve(sigmas: float) -> DemandCurve:
    """An empty curve."""
    made = DemandCurve(horizon_steps=LONGEST, max_tokens=LONGEST, block_tokens=BLOCK_TOKENS)
    made.keep(sigmas=sigmas)
    return made


def traced(on: DemandCurve, tokens: int, last_tokens: int, fate: Fate) -> Demand:
    """One answer."""
    return on.demand(Ramp(tokens, last_tokens, fate.end_step, 1, fate))


@dataclass(frozen=True)
class Running:
    """Holds `tokens`, `produced` of them, and ends at one of `lengths`, all as likely."""

    tokens: int
    produced: int
    lengths: tuple[int, ...]

    @property
    def remaining(self) -> list[int]:
        """What it may still produce, each as likely."""
        return [length - self.produced for length in self.lengths if length > self.produced]

    def held(self, remaining: int, step: int) -> int:
        """Blocks at a step from now, by the tokens that remain."""
        blocks = blocks_for(self.tokens + step, block_tokens=BLOCK_TOKENS)
        return blocks if step < remaining else 0

    def traced(self, on: DemandCurve) -> Demand:
        outlook = Outlook(max(self.lengths), seen(*self.lengths))
        fate = Fate(outlook, 0, self.produced)
        last = self.tokens + max(self.remaining)
        return traced(on, self.tokens, last, fate)


@st.composite
def running(draw: st.DrawFn) -> Running:
    produced = draw(st.integers(0, 60))
    more = st.integers(1, 100).map(lambda tokens: produced + tokens)
    shorter = draw(st.lists(st.integers(1, 60), max_size=2))
    lengths = [*draw(st.lists(more, min_size=1, max_size=4)), *shorter]
    return Running(produced + draw(st.integers(1, 80)), produced, tuple(lengths))


def promised(on: DemandCurve, step: int) -> float:
    """Blocks promised at a step."""
    return Coming(sums(on, step), step, on._sigmas).peak


def sums(on: DemandCurve, step: int) -> Counts:
    """What is summed up for the bucket of a step."""
    on.peak()  # draws what is not drawn yet
    bucket = step // BUCKET_STEPS
    return on._sums[bucket : bucket + 1]


@given(st.lists(running(), min_size=1, max_size=4), SIGMAS)
def test_more_than_promised_is_held_at_no_step_more_often_than_cantelli_allows(
    all_running: list[Running], sigmas: float
) -> None:
    on = curve(sigmas)
    for each in all_running:
        on.add(each.traced(on))
    fates = list(product(*(each.remaining for each in all_running)))
    for step in range(0, 100, 3):
        held = [
            sum(each.held(left, step) for each, left in zip(all_running, fate, strict=True))
            for fate in fates
        ]
        above = sum(blocks > promised(on, step) for blocks in held) / len(fates)
        assert above <= 1 / (1 + sigmas**2) + 1e-9
        assert sums(on, step)[0, 0] / SHARES >= sum(held) / len(held) - 1e-9


@given(st.lists(running(), min_size=1, max_size=4))
def test_never_is_more_than_all_promised(all_running: list[Running]) -> None:
    on, most = curve(1e6), 0
    for each in all_running:
        on.add(each.traced(on))
        most += max(each.held(left, left - 1) for left in each.remaining)
    assert on.peak() <= most + len(all_running)  # a block each by the end of the bucket


@given(st.lists(running(), min_size=1, max_size=5), SIGMAS)
def test_a_newcomer_lowers_the_promise_at_no_step(
    all_running: list[Running], sigmas: float
) -> None:
    on = curve(sigmas)
    for each in all_running:
        before = [promised(on, step) for step in range(0, LONGEST, BUCKET_STEPS)]
        demand = each.traced(on)
        with_it = on.peak_with([demand])
        on.add(demand)
        after = [promised(on, step) for step in range(0, LONGEST, BUCKET_STEPS)]
        assert all(then <= now for then, now in zip(before, after, strict=True))
        assert with_it <= on.peak() <= max(with_it, *before)


def sorted_peak(requests: list[tuple[int, int]]) -> int:
    """Past-Future's (ASPLOS 2025, arXiv 2507.10150), of (held now, still to produce), in tokens.

    By what remains, longest first: when the k-th ends, the first k have grown by as much each.
    """
    ordered = sorted(requests, key=lambda each: -each[1])
    held = np.cumsum([now for now, _ in ordered])
    return max(
        int(now) + k * left for k, (now, (_, left)) in enumerate(zip(held, ordered, strict=True), 1)
    )


@given(
    st.lists(st.tuples(st.integers(1, 10), st.integers(1, 9)), min_size=1, max_size=8),
    st.sampled_from([0.0, 3.0]),
)
def test_known_lengths_come_to_the_peak_of_the_sorted_formula(
    whole_blocks: list[tuple[int, int]], sigmas: float
) -> None:
    """Where lengths end on the grid; and to that of every step."""
    on = curve(sigmas)
    requests = [(held * BLOCK_TOKENS, left * BUCKET_STEPS) for held, left in whole_blocks]
    for held, left in requests:
        on.add(on.demand(Ramp(held, held + left, left, sequences=1)))
    every_step = max(
        sum(held + step for held, left in requests if left >= step) for step in range(1, 160)
    )
    assert on.peak() * BLOCK_TOKENS == sorted_peak(requests) == every_step


def test_of_many_more_than_promised_is_held_in_less_than_one_of_a_hundred() -> None:
    rng = np.random.default_rng(1)
    lengths = np.minimum(rng.lognormal(4.0, 0.8, 200).astype(int) + 1, 240)
    on, runs = curve(3.0), 64
    survival = seen(*lengths.tolist())
    for _ in range(runs):
        fate = Fate(Outlook(240, survival), 0)
        on.add(traced(on, 32, 32 + 240, fate))
    draws = rng.choice(lengths, size=(4000, runs))
    for step in range(0, 240, BUCKET_STEPS):
        blocks = blocks_for(32 + step + BUCKET_STEPS, block_tokens=BLOCK_TOKENS)
        held = blocks * (draws > step).sum(axis=1)
        assert (held > promised(on, step)).mean() <= 0.01
        expected = sums(on, step)[0, 0] / SHARES
        fresh = min(held.mean() / 0.85, runs * blocks)  # as half way until it is drawn anew
        assert expected == pytest.approx(fresh, rel=0.05, abs=3)


def promise(sequences: int, *lengths: int, of: EngineShape | None = None) -> Ledger:
    """A ledger with one body of several answers; every length is equally likely."""
    request = shape(100, max(lengths), sequences=sequences, ignore_eos=False)
    ledger = Ledger(of or engine(max_model_len=1600))
    ledger.curve.keep(sigmas=2.0)
    outlook = Outlook(max(lengths), seen(*lengths))
    ledger.grant(ledger.claim(price(request, ledger.engine, [max(lengths)], outlooks=[outlook])))
    return ledger


@pytest.mark.parametrize("sequences", [1, 2, 4])
def test_answers_to_one_prompt_may_all_be_long_together(sequences: int) -> None:
    """The worst dependence: all answers as one segment with their blocks together."""
    lengths = [16] * 9 + [320]
    ledger = promise(sequences, *lengths)
    whole = sequences * blocks_for(100 + 320, block_tokens=16)
    own = whole if sequences == 1 else 6 + sequences * blocks_for(4 + 320, block_tokens=16)
    assert ledger.curve.peak() <= own
    chance = 0.1 / 0.95  # of all of them being long; Cantelli allows 0.2 above the promise
    at_end = ledger.curve._sums[310 // BUCKET_STEPS]
    spread = np.sqrt(chance * (1 - chance)) * own
    assert at_end[1] ** 0.5 / SHARES >= 0.9 * spread


def test_a_ledger_forgets_what_it_expected() -> None:
    ledger = promise(3, 10, 50, 300)
    assert ledger.curve.peak() > 0
    ledger.close(1)
    assert not ledger.curve._sums.any()
    assert not ledger._outlooks


def test_with_room_for_all_the_chance_decides_nothing() -> None:
    """The same traffic on an endless cache: whatever is promised beyond the mean."""
    vast = EngineShape(
        usable_blocks=10**6,
        block_tokens=16,
        max_sequences=8,
        max_model_len=2048,
        max_batched_tokens=256,
        prefix_caching=True,
    )
    rng = np.random.default_rng(2)
    jobs = [
        Job(3 * number, (int(rng.integers(30, 900)),), int(rng.integers(1, 400)), max_tokens=512)
        for number in range(80)
    ]
    orders = []
    for sigmas in (0.0, 3.0, 100.0):
        traffic = Traffic(vast, Settings(kv_overflow_sigmas=sigmas, cold_start_requests=5))
        traffic.run(jobs)
        orders.append((traffic.order, traffic.outcomes, traffic.step))
    assert orders[0] == orders[1] == orders[2]
