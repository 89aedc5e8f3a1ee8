"""Blocks that prompts have in common are counted once, for as long as anybody holds them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from admission.controller import Controller
from admission.ledger.lease import Lease
from admission.ledger.ledger import Ledger
from admission.price.footprint import EngineShape, Found, PromptShape, RequestShape, price
from admission.price.prefixes import PrefixHashes, chunk_blocks, chunk_tokens, named_chunks
from admission.terms.settings import Policy, Settings
from tests.admission.examples import EXACT, UNBOUNDED, accepted, engine, is_empty, offer, record
from tests.admission.traffic import Job, Traffic

LONGEST = 700
ROOMY = engine(usable_blocks=1000, max_sequences=64)
SIZE = chunk_tokens(16)
A, B, C, D = 1, 2, 3, 4


def prefix_hashes_of(path: list[int], prompt_tokens: int, block_tokens: int) -> PrefixHashes:
    """Names along a tree of texts, as many as the prompt has chunks."""
    named = named_chunks(prompt_tokens, block_tokens)
    names = [
        sum((step + 1) * 7**depth for depth, step in enumerate(path[: n + 1]))
        for n in range(min(named, len(path)))
    ]
    return tuple(names)


def chat(
    hashes: PrefixHashes, prompt_tokens: int = 300, output: int = 50, **more: int
) -> RequestShape:
    return RequestShape((PromptShape(prompt_tokens, output, hashes),), ignore_eos=True, **more)


# -- by hand ---------------------------------------------------------------------------------


def test_a_common_beginning_is_promised_once() -> None:
    controller = Controller(ROOMY, EXACT)
    for own in range(10, 20):
        accepted(controller.offer(offer(chat((A, own))), 0.0))
    alone = Controller(ROOMY, EXACT)
    accepted(alone.offer(offer(chat((A, B))), 0.0))
    each = alone.ledger.curve.peak()
    assert controller.ledger.curve.peak() == 10 * each - 9 * chunk_blocks(16)


def test_it_is_held_until_the_last_sequence_that_uses_it_ends() -> None:
    controller = Controller(ROOMY, EXACT)
    leases = [accepted(controller.offer(offer(chat((A, own))), 0.0)) for own in (B, C, D)]
    rows = [controller.rows_of(lease)[0] for lease in leases]
    controller.progress(
        record(dict.fromkeys(rows, 1), prefill_tokens=300 + 2 * 172, cached_tokens=2 * 128), 0.1
    )
    each = 19  # blocks of 301 tokens
    assert controller.ledger.held_blocks == 3 * each - 2 * 8
    controller.release(leases[0], 0.2, in_engine=False)
    assert controller.ledger.held_blocks == 2 * each - 8
    controller.release(leases[2], 0.2, in_engine=False)
    assert controller.ledger.held_blocks == each
    controller.release(leases[1], 0.2, in_engine=False)
    assert is_empty(controller.ledger)


def test_a_step_reads_what_is_common_once_for_each_sequence_that_uses_it() -> None:
    controller = Controller(ROOMY, EXACT)
    again = []
    for own in (B, C, D):
        lease = accepted(controller.offer(offer(chat((A, own))), 0.0))
        again.append(controller.ledger.read_again_tokens)
    controller.release(lease, 0.1, in_engine=False)
    assert [*again, controller.ledger.read_again_tokens] == [0, 128, 256, 128]


def test_who_lives_longer_prolongs_what_is_common() -> None:
    controller = Controller(ROOMY, EXACT)
    accepted(controller.offer(offer(chat((A, B), output=20)), 0.0))
    accepted(controller.offer(offer(chat((A, C), output=600, prompt_tokens=300)), 0.0))
    alone = Controller(ROOMY, EXACT)
    accepted(alone.offer(offer(chat((A, C), output=600, prompt_tokens=300)), 0.0))
    late = [
        gate.ledger.curve.coming().steps_until_blocks(0, for_steps=1)
        for gate in (controller, alone)
    ]
    assert late[0] >= late[1]
    assert controller.ledger.curve.peak() >= alone.ledger.curve.peak()


def test_what_the_first_did_not_compute_the_next_one_does() -> None:
    controller = Controller(ROOMY, EXACT)
    first, second = (accepted(controller.offer(offer(chat((A, own))), 0.0)) for own in (B, C))
    assert controller.ledger.backlog_tokens == 300 + 172
    controller.release(first, 0.1, in_engine=False)
    assert controller.ledger.backlog_tokens == 300
    (row,) = controller.rows_of(second)
    controller.progress(record({row: 0}, prefill_tokens=200), 0.2)
    assert (controller.ledger.backlog_tokens, controller.ledger.held_blocks) == (100, 13)
    controller.progress(record({row: 1}, prefill_tokens=100), 0.3)
    assert (controller.ledger.backlog_tokens, controller.ledger.held_blocks) == (0, 19)


def test_an_aborted_beginning_is_taken_over_by_a_newcomer() -> None:
    controller = Controller(ROOMY, EXACT)
    first = accepted(controller.offer(offer(chat((A, B))), 0.0))
    controller.release(first, 0.1, in_engine=True)
    second = accepted(controller.offer(offer(chat((A, C))), 0.1))
    (row,) = controller.rows_of(second)
    for _ in range(4):
        controller.progress(record({row: 0}, prefill_tokens=50), 0.2)
    assert controller.ledger.held_blocks == 13
    controller.progress(record({row: 1}, prefill_tokens=100), 0.3)
    assert (controller.ledger.backlog_tokens, controller.ledger.held_blocks) == (0, 19)


def test_when_the_engine_finds_less_than_predicted_every_request_counts_in_full() -> None:
    controller = Controller(ROOMY, EXACT)
    for own in range(100, 140):
        (row,) = controller.rows_of(accepted(controller.offer(offer(chat((A, own))), 0.0)))
        controller.progress(record({row: 1}, prefill_tokens=300), 0.1)
    quote = controller.quote(offer(chat((A, 99))))
    assert quote.price.held_blocks == 0
    assert quote.price.cached_tokens < 10


# -- any mix ---------------------------------------------------------------------------------


class Sharing(RuleBasedStateMachine):
    """Grants and ends in any order; the sum of the ledger is that of distinct blocks."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.shape = engine(usable_blocks=10**6, max_sequences=10**6, max_model_len=LONGEST)
        self.ledger = Ledger(self.shape)
        self.alive: dict[int, tuple[Lease, PrefixHashes, int, int, int]] = {}

    @rule(
        target=leases,
        path=st.lists(st.integers(0, 1), min_size=5, max_size=5),
        prompt_tokens=st.integers(1, LONGEST - 60),
        output=st.integers(1, 60),
        sequences=st.integers(1, 3),
    )
    def grant(self, path: list[int], prompt_tokens: int, output: int, sequences: int) -> int:
        hashes = prefix_hashes_of(path, prompt_tokens, 16)
        held = self.ledger.shared_prefixes.known(hashes) * SIZE
        prompt = PromptShape(prompt_tokens, output, hashes, Found(held, held))
        body = RequestShape((prompt,), sequences=sequences, ignore_eos=True)
        lease = self.ledger.grant(self.ledger.claim(price(body, self.shape, [output])))
        self.alive[lease.lease_id] = lease, hashes, prompt_tokens, output, sequences
        return lease.lease_id

    @rule(lease=leases, which=st.integers(0, 2))
    def end(self, lease: int, which: int) -> None:
        if lease not in self.alive:
            return
        granted = self.alive[lease][0]
        self.ledger.end_sequence(list(granted.live)[which % len(granted.live)])
        if not granted.live:
            del self.alive[lease]
            self.ledger.close(lease)

    @rule(tokens=st.integers(1, 2000))
    def compute(self, tokens: int) -> None:
        self.ledger.prefilled(tokens)

    @invariant()
    def what_is_promised_is_what_is_distinct(self) -> None:
        names: set[int] = set()
        now = last = 0
        for lease, hashes, prompt_tokens, output, sequences in self.alive.values():
            names |= set(hashes)
            common = (prompt_tokens - 1) // 16 if sequences > 1 else len(hashes) * 8
            rest = prompt_tokens - common * 16
            unnamed = common - len(hashes) * 8
            now += unnamed + len(lease.live) * -(-rest // 16)
            last += unnamed + len(lease.live) * -(-(rest + output) // 16)
        assert now + 8 * len(names) <= self.ledger.curve.peak() <= last + 8 * len(names)

    @invariant()
    def what_is_held_once_all_is_computed_is_what_is_distinct(self) -> None:
        if self.ledger.backlog_tokens:
            return
        names = {name for _, hashes, *_ in self.alive.values() for name in hashes}
        held = 8 * len(names)
        for lease, hashes, prompt_tokens, _, sequences in self.alive.values():
            common = (prompt_tokens - 1) // 16 if sequences > 1 else len(hashes) * 8
            held += common - 8 * len(hashes)
            held += len(lease.live) * -(-(prompt_tokens - common * 16) // 16)
        assert self.ledger.held_blocks == held

    def teardown(self) -> None:
        for lease, *_ in self.alive.values():
            self.ledger.close(lease.lease_id)
        assert is_empty(self.ledger)


Sharing.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestSharing = Sharing.TestCase


# -- whole lives -----------------------------------------------------------------------------


@st.composite
def engines(draw: st.DrawFn) -> EngineShape:
    block_tokens = draw(st.sampled_from([4, 16, 32, 128]))
    return EngineShape(
        usable_blocks=-(-LONGEST // block_tokens) * draw(st.sampled_from([1, 2, 4])),
        block_tokens=block_tokens,
        max_sequences=draw(st.sampled_from([3, 8, 64])),
        max_model_len=LONGEST,
        max_batched_tokens=draw(st.sampled_from([64, 256, 2048])),
        prefix_caching=True,
        lookahead_tokens=draw(st.integers(0, 1)),
    )


@st.composite
def jobs(draw: st.DrawFn, block_tokens: int, *, hang_up: bool) -> list[Job]:
    made, arrives = [], 0
    for _ in range(draw(st.integers(1, 20))):
        arrives += draw(st.sampled_from([0, 0, 1, 7, 60]))
        output = draw(st.integers(1, 60))
        prompts = draw(st.lists(st.integers(1, LONGEST - output), min_size=1, max_size=2))
        prompt_hashes = tuple(
            prefix_hashes_of(
                draw(st.lists(st.integers(0, 1), min_size=6, max_size=6)), each, block_tokens
            )
            for each in prompts
        )
        leaves = draw(st.none() | st.integers(0, 100)) if hang_up else None
        made.append(
            Job(
                arrives,
                tuple(prompts),
                output,
                sequences=draw(st.integers(1, 2)),
                leaves_after_steps=leaves,
                prompt_hashes=prompt_hashes,
            )
        )
    return made


@settings(max_examples=25)
@given(st.data(), engines(), st.sampled_from([Policy.FOOTPRINT, Policy.WORST_CASE]))
def test_known_lengths_with_common_beginnings_are_never_preempted_nor_counted_too_low(
    data: st.DataObject, shape: EngineShape, policy: Policy
) -> None:
    exact = Settings(policy=policy, kv_headroom_ratio=0.0, **UNBOUNDED)
    traffic = Traffic(shape, exact)
    traffic.run(data.draw(jobs(shape.block_tokens, hang_up=False)))
    assert traffic.engine.preemptions == 0
    assert traffic.most_below == 0
    assert is_empty(traffic.controller.ledger)


@settings(max_examples=25)
@given(st.data(), engines())
def test_nor_when_clients_hang_up(data: st.DataObject, shape: EngineShape) -> None:
    traffic = Traffic(shape, Settings(kv_headroom_ratio=0.0, **UNBOUNDED))
    traffic.run(data.draw(jobs(shape.block_tokens, hang_up=True)))
    assert traffic.engine.preemptions == 0
    assert is_empty(traffic.controller.ledger)


def test_many_chats_over_one_system_prompt_run_at_once() -> None:
    rng = random.Random(1)
    prompt = tuple(range(1, 9))  # 1,024 tokens
    made = [
        Job(number, (1024 + rng.randint(20, 100),), rng.randint(20, 80), prompt_hashes=(prompt,))
        for number in range(100)
    ]
    shape = engine(
        usable_blocks=4 * 1200 // 16, max_sequences=64, max_model_len=1300, max_batched_tokens=2048
    )
    most = []
    for chained in (True, False):
        traffic = Traffic(shape, Settings(kv_headroom_ratio=0.0, **UNBOUNDED))
        traffic.run(
            made if chained else [Job(j.arrives_step, j.prompts, j.output_tokens) for j in made]
        )
        assert traffic.outcomes == {"served": 100}
        assert (traffic.engine.preemptions, traffic.most_below) == (0, 0)
        most.append(max(traffic.running_while_waiting))
    assert most[0] > 5 * most[1]


@pytest.mark.parametrize("seed", range(5))
def test_forecasts_of_the_cache_hold_on_an_engine_that_does_as_ours_thinks(seed: int) -> None:
    rng = random.Random(seed)
    made = []
    for number in range(200):
        path = [rng.randrange(3) for _ in range(4)]
        tokens = 128 * 4 + rng.randint(1, 100)
        hashes = prefix_hashes_of(path, tokens, 16)
        made.append(Job(3 * number, (tokens,), rng.randint(1, 60), prompt_hashes=(hashes,)))
    shape = engine(usable_blocks=300, max_sequences=16, max_model_len=1300)
    traffic = Traffic(shape, Settings(kv_headroom_ratio=0.0, **UNBOUNDED))
    traffic.run(made)
    hits = traffic.controller.prefixes.hits
    assert hits.foreseen_tokens > 10_000
    assert 0.97 < hits.found_tokens / hits.foreseen_tokens < 1.03
    assert hits.ratio > 0.95
