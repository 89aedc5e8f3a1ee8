"""Any order of offers, steps, cancellations, ticks, new settings and the engine's death."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from admission.terms.decision import Priority
from admission.terms.settings import Mode, Policy, Settings
from tests.admission.examples import engine, is_empty
from tests.admission.traffic import Job, Traffic

SLOTS = 6
LONGEST = 200


class Admission(RuleBasedStateMachine):
    """A gate that loses no request: every visit has one outcome, every ticket at most one turn."""

    @initialize(
        block_tokens=st.sampled_from([1, 16, 128]),
        lookahead_tokens=st.integers(0, 1),
        blocks=st.integers(1, 4),
        policy=st.sampled_from(list(Policy)),
    )
    def start(self, block_tokens: int, lookahead_tokens: int, blocks: int, policy: Policy) -> None:
        shape = engine(
            usable_blocks=blocks * -(-LONGEST // block_tokens),
            block_tokens=block_tokens,
            max_sequences=SLOTS,
            max_model_len=LONGEST,
            max_batched_tokens=64,
            lookahead_tokens=lookahead_tokens,
        )
        self.traffic = Traffic(shape, Settings(policy=policy, static_limit=SLOTS))
        self.enforced = True
        self.counts_blocks = policy is not Policy.STATIC

    @precondition(lambda self: not self.traffic.dead)
    @rule(
        prompts=st.lists(st.integers(1, LONGEST // 2), min_size=1, max_size=2),
        output_tokens=st.integers(1, LONGEST // 2),
        max_tokens=st.none() | st.just(LONGEST // 2),
        sequences=st.integers(1, 4),
        tenant=st.sampled_from("abc"),
        priority=st.sampled_from(list(Priority)),
        patience_s=st.sampled_from([0.0, 0.5, 1e9]),
    )
    def offer(self, prompts: list[int], output_tokens: int, **fields: object) -> None:
        job = Job(self.traffic.step, tuple(prompts), output_tokens, **fields)  # type: ignore[arg-type]
        self.traffic.offer(job)

    @rule(steps=st.integers(1, 40))
    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.traffic.advance()

    @rule(which=st.integers(0, 100))
    def hang_up(self, which: int) -> None:
        under_way = [visit for visit in self.traffic.visits if not visit.outcome]
        if under_way:
            self.traffic.hang_up(under_way[which % len(under_way)])

    @rule(which=st.integers(0, 100))
    def release_again(self, which: int) -> None:
        over = [visit for visit in self.traffic.visits if visit.outcome]
        if over:
            visit = over[which % len(over)]
            controller, now_s = self.traffic.controller, self.traffic.now_s
            if visit.lease_id is not None:
                assert controller.release(visit.lease_id, now_s, in_engine=True) == []
            if visit.ticket_id is not None:
                controller.leave_queue(visit.ticket_id)

    @rule(seconds=st.sampled_from([0.01, 0.6, 2.0]))
    def tick(self, seconds: float) -> None:
        self.traffic.tick(seconds)

    @rule(
        mode=st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW, Mode.OFF]),
        policy=st.sampled_from(list(Policy)),
        static_limit=st.integers(1, SLOTS),
        queue_max_requests=st.integers(0, 5),
        kv_headroom_ratio=st.sampled_from([0.0, 0.02, 0.5]),
    )
    def reconfigure(self, mode: Mode, policy: Policy, **fields: object) -> None:
        controller = self.traffic.controller
        changed = replace(controller.settings, mode=mode, policy=policy, **fields)  # type: ignore[arg-type]
        controller.reconfigure(changed)
        self.enforced &= mode is Mode.ENFORCE
        self.counts_blocks &= policy is not Policy.STATIC

    @precondition(lambda self: self.traffic.step > 20)
    @rule()
    def die(self) -> None:
        self.traffic.die()

    @precondition(lambda self: self.traffic.step > 20)
    @rule()
    def drain(self) -> None:
        self.traffic.controller.draining = True

    @invariant()
    def nobody_is_lost(self) -> None:
        if not hasattr(self, "traffic"):
            return
        controller = self.traffic.controller
        visits = [visit for visit in self.traffic.visits if not visit.outcome]
        waiting = {visit.ticket_id for visit in visits if visit.lease_id is None}
        assert {ticket.ticket_id for ticket in controller.queue} == waiting
        assert set(controller._dispatcher._waiting) == waiting
        leases = {visit.lease_id for visit in visits if visit.lease_id is not None}
        assert set(controller._leases._granted) == leases
        assert leases <= set(controller.ledger.leases)

    @invariant()
    def the_books_are_kept(self) -> None:
        if not hasattr(self, "traffic"):
            return
        ledger = self.traffic.controller.ledger
        held = sum(ledger.lease_blocks(lease) for lease in ledger.leases.values())
        assert ledger.held_blocks == held
        assert ledger.held_blocks + ledger.free_blocks == ledger.engine.usable_blocks
        if self.enforced:
            assert ledger.sequences <= SLOTS
        if self.enforced and self.counts_blocks:
            assert ledger.held_blocks <= ledger.engine.usable_blocks + ledger.sequences

    def teardown(self) -> None:
        if not hasattr(self, "traffic"):
            return
        self.traffic.run([], steps_max=self.traffic.step + 20_000)
        self.traffic.tick(2.0)
        assert all(visit.outcome for visit in self.traffic.visits)
        assert is_empty(self.traffic.controller.ledger)
        assert len(self.traffic.controller._leases.pending_aborts) == 0


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(max_examples=25, stateful_step_count=30)
