"""Promises over future steps, held against every single step."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from admission.ledger.curve import DemandCurve
from admission.ledger.demand import BUCKET_STEPS, Demand, Ramp
from admission.price.footprint import blocks_for
from admission.price.outlook import SHARES, Fate, Outlook
from tests.admission.examples import seen

LONGEST = 160
BLOCK_TOKENS = 16


def curve(horizon_steps: int = LONGEST, block_tokens: int = BLOCK_TOKENS) -> DemandCurve:
    """An empty curve."""
    return DemandCurve(horizon_steps=horizon_steps, max_tokens=LONGEST, block_tokens=block_tokens)


def traced(
    on: DemandCurve, tokens: int, last_tokens: int, *, end_step: int, sequences: int = 1
) -> Demand:
    """One segment of known length."""
    return on.demand(Ramp(tokens, last_tokens, end_step, sequences))


def blocks(on: DemandCurve, demand: Demand) -> npt.NDArray[np.int64]:
    """What a demand of known length promises, in blocks by bucket."""
    on.peak_with([demand])
    assert demand.sums is not None
    expected, variance, most, _ = demand.sums.T
    assert (expected == most).all()
    assert not variance.any()
    return most // SHARES


@dataclass(frozen=True)
class Segment:
    """`tokens` at step `at`, growing to `last` tokens, gone at `end`."""

    at: int
    tokens: int
    last: int
    end: int

    def blocks(self, step: int) -> int:
        """Blocks held at one step, the plain way."""
        held = min(self.tokens + step - self.at, self.last)
        return blocks_for(held, block_tokens=BLOCK_TOKENS) if step < self.end else 0

    def ramp(self) -> Ramp:
        return Ramp(self.tokens, self.last, self.end, sequences=1)

    def traced(self, on: DemandCurve) -> Demand:
        return on.demand(self.ramp())


@st.composite
def segments(draw: st.DrawFn, at: int) -> Segment:
    tokens = draw(st.integers(1, 100))
    grow = draw(st.integers(0, LONGEST - tokens))
    return Segment(at, tokens, tokens + grow, at + grow + draw(st.integers(0, 8)))


@given(st.data())
def test_the_curve_is_never_below_any_future_step_and_at_most_a_bucket_above(
    data: st.DataObject,
) -> None:
    on, held, now = curve(), list[Segment](), 0
    for _ in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.integers(0, 40))
        on.advance_to(now)
        segment = data.draw(segments(now))
        on.add(segment.traced(on))
        held.append(segment)
    truth = [sum(each.blocks(step) for each in held) for step in range(now, now + LONGEST + 20)]
    assert on.peak() >= max(truth)
    for step, true in enumerate(truth, start=now):
        bucket = step // BUCKET_STEPS - on._origin
        promised = int(on._sums[bucket, 2]) // SHARES
        end = (step // BUCKET_STEPS + 1) * BUCKET_STEPS
        alive = [each for each in held if each.end > step // BUCKET_STEPS * BUCKET_STEPS]
        most = sum(
            blocks_for(min(each.tokens + end - each.at, each.last), block_tokens=BLOCK_TOKENS)
            for each in alive
        )
        assert true <= promised <= most


@given(st.data())
def test_taking_everything_back_leaves_nothing_however_far_the_window_moved(
    data: st.DataObject,
) -> None:
    on, demands, now = curve(), list[Demand](), 0
    for _ in range(data.draw(st.integers(1, 20))):
        now += data.draw(st.sampled_from([0, 1, 15, 16, 40, 300, 5000]))
        on.advance_to(now)
        if demands and data.draw(st.booleans()):
            on.remove(demands.pop(data.draw(st.integers(0, len(demands) - 1))))
        else:
            demand = data.draw(segments(now)).traced(on)
            on.add(demand)
            demands.append(demand)
    for demand in demands:
        on.remove(demand)
    assert on.peak() == 0
    assert (
        on.coming().steps_until_blocks(0, for_steps=1000)
        == on.coming().steps_until_sequences(0, for_steps=1000)
        == 0
    )
    assert not on._sums[on._now - on._origin :].any()


@given(st.data())
def test_a_newcomer_never_lowers_the_peak_and_is_seen_as_it_will_be_added(
    data: st.DataObject,
) -> None:
    on = curve()
    for _ in range(data.draw(st.integers(0, 5))):
        on.add(data.draw(segments(0)).traced(on))
    newcomers = [data.draw(segments(0)).traced(on) for _ in range(data.draw(st.integers(1, 3)))]
    before, foreseen = on.peak(), on.peak_with(newcomers)
    for demand in newcomers:
        on.add(demand)
    assert on.peak() == max(before, foreseen)


@st.composite
def uncertain(draw: st.DrawFn, at: int) -> Ramp:
    """One whose length is not known, nor perhaps whether it has begun."""
    produced, tokens = draw(st.integers(0, 40)), draw(st.integers(1, 60))
    most = produced + draw(st.integers(0, 60))
    outlook = Outlook(most, seen(*draw(st.lists(st.integers(1, 120), min_size=1, max_size=4))))
    fate = Fate(outlook, at + draw(st.integers(0, 20)), produced, draw(st.integers(1, 3)))
    entwined = draw(st.integers(1, 3))
    return Ramp(tokens, tokens + most, fate.end_step, 1, fate, entwined)


@given(st.data(), st.floats(0.0, 4.0))
def test_what_is_drawn_late_is_as_if_it_had_been_drawn_at_once(
    data: st.DataObject, sigmas: float
) -> None:
    late, eager, now = curve(), curve(), 0
    late.keep(sigmas=sigmas)
    eager.keep(sigmas=sigmas)
    added: list[tuple[Demand, Demand]] = []
    for _ in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.sampled_from([0, 0, 0, 1, 15, 16, 40]))
        late.advance_to(now)
        eager.advance_to(now)
        if added and data.draw(st.booleans()):
            ended, twin = added.pop(data.draw(st.integers(0, len(added) - 1)))
            late.remove(ended)
            eager.remove(twin)
        ramp = data.draw(uncertain(now) | segments(now).map(Segment.ramp))
        demand, twin = late.demand(ramp), eager.demand(ramp)
        peak, limit = eager.peak_with([twin]), data.draw(st.integers(0, 60))
        assert late.fits([demand], limit) == (peak <= limit)
        for _ in range(data.draw(st.integers(1, 2))):
            late.add(demand)
            eager.add(twin)
            added.append((demand, twin))
        eager.peak()
        assert late.blocks_now() == eager.blocks_now()
    assert (late.coming()._sums == eager.coming()._sums).all()


@given(st.data(), st.floats(0.0, 4.0), st.integers(0, 60))
def test_what_newcomers_would_change_is_told_without_a_change(
    data: st.DataObject, sigmas: float, limit: int
) -> None:
    on = curve()
    on.keep(sigmas=sigmas)
    ramps = uncertain(0) | segments(0).map(Segment.ramp)
    for _ in range(data.draw(st.integers(0, 5))):
        on.add(on.demand(data.draw(ramps)))
    newcomers = [on.demand(data.draw(ramps)) for _ in range(data.draw(st.integers(1, 3)))]
    before = on.coming()._sums.copy()
    foreseen = on.coming_with(newcomers)
    assert (on.coming()._sums == before).all()
    for demand in newcomers:
        on.add(demand)
    then = on.coming()
    assert (foreseen.peak, foreseen.surprise) == (then.peak, then.surprise)
    for told in ("steps_until_blocks", "steps_until_sequences"):
        room = getattr(foreseen, told)(limit, for_steps=32)
        assert room == getattr(then, told)(limit, for_steps=32)


def test_what_ends_soon_makes_room_for_what_grows_later() -> None:
    on = curve()
    ends_soon = traced(on, 96, 96, end_step=16)
    grows = traced(on, 16, 112, end_step=96)
    on.add(ends_soon)
    assert on.peak() == 6
    assert on.peak_with([grows]) == 6 + 2


def test_a_trace_counts_what_is_held_at_the_end_of_each_bucket() -> None:
    on = curve()
    demand = traced(on, 1, 40, end_step=39)
    assert blocks(on, demand).tolist() == [2, 3, 3]


def test_steps_until_room_counts_from_this_step() -> None:
    on = curve()
    on.add(traced(on, 160, 160, end_step=32, sequences=2))
    on.advance_to(5)
    assert on.coming().steps_until_blocks(9, for_steps=1000) == 27
    assert on.coming().steps_until_blocks(10, for_steps=1000) == 0
    assert on.coming().steps_until_sequences(1, for_steps=1000) == 27
    on.advance_to(32)
    assert on.coming().steps_until_blocks(0, for_steps=1000) == 0


def test_a_short_request_finds_room_before_the_others_are_gone() -> None:
    on = curve()
    on.add(traced(on, 160, 160, end_step=16))
    on.add(traced(on, 16, 160, end_step=144))
    assert on.coming().steps_until_blocks(6, for_steps=32) == 16
    assert on.coming().steps_until_blocks(6, for_steps=64) == 16
    assert on.coming().steps_until_blocks(6, for_steps=65) == 144
    assert on.coming().steps_until_blocks(1, for_steps=1) == 144


def test_the_past_is_forgotten_when_the_window_moves() -> None:
    on = curve(horizon_steps=64)
    old = traced(on, 160, 160, end_step=48)
    on.add(old)
    for step in range(0, 2000, 7):
        on.advance_to(step)
    assert on.peak() == 0
    on.remove(old)
    assert on.peak() == 0
    on.add(traced(on, 16, 16, end_step=2064))
    assert on.blocks_now() == 1


def test_a_trace_beyond_the_horizon_is_promised_up_to_it() -> None:
    on = curve(horizon_steps=64)
    endless = traced(on, 16, 16, end_step=10**6)
    on.add(endless)
    assert on.coming().steps_until_blocks(0, for_steps=1000) >= 64
    on.remove(endless)
    assert on.coming().steps_until_blocks(0, for_steps=1000) == 0


def test_nothing_holds_more_than_the_longest_sequence() -> None:
    on = curve()
    demand = traced(on, 150, 10_000, end_step=64)
    assert blocks(on, demand).max() == LONGEST // BLOCK_TOKENS


def test_blocks_of_any_size() -> None:
    for size in (1, 3, 16, 128):
        on = curve(block_tokens=size)
        demand = traced(on, 5, 55, end_step=50)
        ends = np.minimum(np.arange(1, 5) * BUCKET_STEPS + 5, 55)
        assert blocks(on, demand).tolist() == (-(-ends // size)).tolist()
