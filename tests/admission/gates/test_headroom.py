"""What still fits, what binds, and for how long."""

import pytest

from admission.gates.headroom import Headroom
from admission.gates.kv_margin import KvMargin
from admission.gates.slack import Slack
from admission.gates.tpot import Timing
from admission.ledger.ledger import Ledger
from admission.price.footprint import EngineShape, Price, RequestShape, price
from admission.queue.waiting import QueueLoad
from admission.speed.engine_speed import EngineSpeed
from admission.terms.decision import Limit
from admission.terms.settings import Policy, Settings
from tests.admission.examples import ENGINE, engine, shape


def room(settings: Settings | None = None, of: EngineShape = ENGINE) -> tuple[Headroom, Ledger]:
    """An empty engine that takes 0.1 s a step and 1 ms a prompt token."""
    ledger, speed = Ledger(of), EngineSpeed()
    for _ in range(100):
        speed.pace.observe(elapsed_s=0.2, steps=1, prefill_tokens=100, decode_tokens=1)
        speed.pace.observe(elapsed_s=0.1, steps=1, prefill_tokens=0, decode_tokens=1)
    for _ in range(1000):
        speed.pace.observe(elapsed_s=0.1, steps=1, prefill_tokens=0, decode_tokens=1)
    settings = settings or Settings(kv_headroom_ratio=0.0)
    margin, timing = KvMargin(settings.kv_headroom_ratio), Timing(ledger, speed, Slack(), settings)
    return Headroom(ledger, speed, timing, margin, settings), ledger


def priced(request: RequestShape) -> Price:
    """Its price when the length is known."""
    return price(request, ENGINE, [prompt.max_tokens for prompt in request.prompts])


def hold(ledger: Ledger, request: RequestShape) -> None:
    """Grant it and compute its prompt."""
    ledger.grant(ledger.claim(priced(request)))
    ledger.prefilled(10**6)


def binds(headroom: Headroom, wanted: Price) -> Limit | None:
    """The limit that keeps it out."""
    fit = headroom.fit(wanted)
    return fit if isinstance(fit, Limit) else None


def test_an_idle_engine_takes_whatever_can_fit() -> None:
    headroom, _ = room(Settings(kv_headroom_ratio=0.5, prefill_backlog_max_tokens=1))
    assert binds(headroom, priced(shape(1500, 100))) is None


def test_slots_bind_first() -> None:
    headroom, ledger = room()
    for _ in range(4):
        hold(ledger, shape(16, 16))
    assert binds(headroom, priced(shape(16, 16))) is Limit.SLOTS


def test_prefill_binds_while_prompts_wait_to_be_computed() -> None:
    headroom, ledger = room(Settings(prefill_backlog_max_tokens=200))
    ledger.grant(ledger.claim(priced(shape(160, 16))))
    assert binds(headroom, priced(shape(41, 16))) is Limit.PREFILL
    assert binds(headroom, priced(shape(40, 16))) is None


def test_a_prompt_longer_than_the_backlog_bound_passes_when_no_other_is_computed() -> None:
    headroom, ledger = room(Settings(prefill_backlog_max_tokens=200))
    hold(ledger, shape(16, 16))
    assert binds(headroom, priced(shape(600, 16))) is None


def test_the_projected_peak_binds_not_what_is_held_now() -> None:
    headroom, ledger = room()
    hold(ledger, shape(160, 1200))
    assert binds(headroom, priced(shape(160, 240))) is None  # gone before the other is large
    assert binds(headroom, priced(shape(160, 1200))) is Limit.KV


def test_headroom_is_kept_back() -> None:
    headroom, ledger = room(Settings(kv_headroom_ratio=0.1))
    assert headroom.block_limit == 90
    hold(ledger, shape(800, 16))
    assert binds(headroom, priced(shape(720, 16))) is Limit.KV


def test_static_counts_places_and_nothing_else() -> None:
    headroom, ledger = room(
        Settings(policy=Policy.STATIC, static_limit=2, prefill_backlog_max_tokens=1)
    )
    ledger.grant(ledger.claim(priced(shape(1500, 100))))
    assert headroom.slot_limit == 2
    assert binds(headroom, priced(shape(1500, 100))) is None
    ledger.grant(ledger.claim(priced(shape(1500, 100))))
    assert binds(headroom, priced(shape(16, 16))) is Limit.SLOTS


def test_the_static_limit_is_never_above_the_slots() -> None:
    assert room(Settings(policy=Policy.STATIC, static_limit=48))[0].slot_limit == 4


def test_a_wait_is_the_time_until_the_running_make_room() -> None:
    headroom, ledger = room()
    hold(ledger, shape(1440, 96))
    wait_s, limit = headroom.wait(priced(shape(160, 16)), QueueLoad(), Limit.KV)
    assert limit is Limit.KV
    assert wait_s == pytest.approx(0.1 * 112, rel=0.1)  # 96 steps, and the bucket it ends in


def test_those_ahead_pass_at_the_rate_of_what_binds() -> None:
    headroom, _ = room()
    kv = QueueLoad(requests=2, area_block_steps=100 * 300)
    wait_s, limit = headroom.wait(priced(shape()), kv, Limit.SLOTS)
    assert (limit, wait_s) == (Limit.KV, pytest.approx(30.0, rel=0.01))
    slots = QueueLoad(requests=2, sequence_steps=4 * 500)
    wait_s, limit = headroom.wait(priced(shape()), slots, Limit.KV)
    assert (limit, wait_s) == (Limit.SLOTS, pytest.approx(50.0, rel=0.01))
    prefill = QueueLoad(requests=2, prefill_tokens=10_000)
    wait_s, limit = headroom.wait(priced(shape()), prefill, Limit.KV)
    assert (limit, wait_s) == (Limit.PREFILL, pytest.approx(10.0, rel=0.2))


def test_without_evidence_a_wait_is_unknown_and_the_limit_is_what_blocks() -> None:
    ledger = Ledger(ENGINE)
    speed, settings = EngineSpeed(), Settings()
    margin, timing = KvMargin(settings.kv_headroom_ratio), Timing(ledger, speed, Slack(), settings)
    headroom = Headroom(ledger, speed, timing, margin, settings)
    hold(ledger, shape(1440, 96))
    assert headroom.wait(priced(shape()), QueueLoad(), Limit.KV) == (0.0, Limit.KV)


def test_the_wait_grows_with_what_runs_and_with_what_waits() -> None:
    headroom, ledger = room(of=engine(max_sequences=64))
    last_s = 0.0
    for number in range(1, 20):
        hold(ledger, shape(64, 16 * number))
        ahead = QueueLoad(
            requests=number,
            prefill_tokens=100 * number,
            area_block_steps=1000 * number,
            sequence_steps=100 * number,
        )
        wait_s, _ = headroom.wait(priced(shape(1440, 100)), ahead, Limit.KV)
        assert wait_s >= last_s
        last_s = wait_s
    assert last_s > 0


def test_a_load_takes_the_time_of_the_scarcer_of_blocks_and_slots() -> None:
    headroom, _ = room()
    assert headroom.through_s(QueueLoad(area_block_steps=100 * 300)) == pytest.approx(
        30.0, rel=0.01
    )
    assert headroom.through_s(QueueLoad(sequence_steps=4 * 500)) == pytest.approx(50.0, rel=0.01)
    static, _ = room(Settings(policy=Policy.STATIC, static_limit=2))
    load = QueueLoad(area_block_steps=100 * 300, sequence_steps=2 * 10)
    assert static.through_s(load) == pytest.approx(1.0, rel=0.01)


def test_budgets_say_what_fit_decides_by() -> None:
    headroom, ledger = room(Settings(kv_headroom_ratio=0.0, prefill_backlog_max_tokens=200))
    hold(ledger, shape(1440, 96))
    ledger.grant(ledger.claim(priced(shape(160, 16))))
    kv, slots, prefill = headroom.budgets(priced(shape(160, 16)))
    assert (kv.limit, kv.capacity, kv.needed, kv.fits) == (Limit.KV, 100, 11, False)
    assert kv.promised >= 96
    assert (slots.limit, slots.promised, slots.needed, slots.fits) == (Limit.SLOTS, 2, 1, True)
    assert (prefill.promised, prefill.needed, prefill.fits) == (160, 160, False)
    assert kv.free_in_s > 0
    assert slots.free_in_s == 0
    assert prefill.free_in_s == pytest.approx(0.16, rel=0.2)
