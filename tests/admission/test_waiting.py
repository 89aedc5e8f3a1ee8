"""Queue order, fairness between tenants, rising classes, deadlines."""

from collections import Counter
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from admission.price.footprint import Price, price
from admission.queue.waiting import QueueLoad, Ticket, WaitingQueue, risen
from admission.terms.decision import Priority
from admission.terms.settings import Settings, TenantTerms
from tests.admission.examples import ENGINE, shape

_ids = count(1)


def ticket(
    tenant: str = "a",
    priority: Priority = Priority.NORMAL,
    *,
    prompt_tokens: int = 100,
    output_tokens: int = 50,
    expires_at_s: float = 1e9,
    arrived_at_s: float = 0.0,
) -> Ticket:
    """A request that waits."""
    priced = price(shape(prompt_tokens, output_tokens), ENGINE, [output_tokens])
    return Ticket(next(_ids), tenant, priority, priced, expires_at_s, expires_at_s, arrived_at_s)


def seconds(priced: Price) -> float:
    """Of the engine's time, at a millisecond a prompt token and two a generated one."""
    return (priced.prompt_tokens + 2 * priced.output_tokens) / 1000


def line_of(*tickets: Ticket) -> WaitingQueue:
    """They joined in this order."""
    line = WaitingQueue()
    for each in tickets:
        line.add(each)
    return line


def serve(line: WaitingQueue, now_s: float = 0.0) -> Ticket:
    """The head leaves the line and is charged."""
    head = line.head(now_s)
    assert head is not None
    line.remove(head.ticket_id)
    line.charge(head.tenant, head.priority, seconds(head.price))
    return head


def served(line: WaitingQueue) -> list[Ticket]:
    """Everybody in the order of their turns."""
    return [serve(line) for _ in range(len(line))]


def test_a_tenant_with_equal_deadlines_is_served_in_order_of_arrival() -> None:
    tickets = [ticket(prompt_tokens=tokens) for tokens in (900, 10, 400)]
    assert served(line_of(*tickets)) == tickets


def test_inside_a_tenant_the_earliest_deadline_goes_first() -> None:
    late, soon, middle = (ticket(expires_at_s=at_s) for at_s in (30.0, 5.0, 20.0))
    assert served(line_of(late, soon, middle)) == [soon, middle, late]


def test_a_deadline_gains_nothing_over_another_tenant() -> None:
    line = line_of(*(ticket("hasty", expires_at_s=1.0) for _ in range(10)))
    calm = ticket("calm", expires_at_s=1000.0)
    line.add(calm)
    assert calm in [serve(line) for _ in range(2)]


def test_a_higher_class_overtakes() -> None:
    low, normal, high = ticket(priority=Priority.LOW), ticket(), ticket(priority=Priority.HIGH)
    assert served(line_of(low, normal, high)) == [high, normal, low]


def test_tenants_take_turns_by_tokens_not_by_requests() -> None:
    large = [ticket("large", prompt_tokens=900, output_tokens=50) for _ in range(10)]
    small = [ticket("small", prompt_tokens=150, output_tokens=50) for _ in range(40)]
    line = line_of(*large, *small)
    tokens = Counter[str]()
    for _ in range(20):
        head = serve(line)
        tokens[head.tenant] += head.price.prompt_tokens + 2 * head.price.output_tokens
    assert abs(tokens["large"] - tokens["small"]) <= 1000


def test_a_long_request_of_one_tenant_gets_its_turn_among_short_ones_of_another() -> None:
    long = ticket("long", prompt_tokens=1500)
    line = line_of(*(ticket("short", prompt_tokens=10) for _ in range(100)), long)
    assert long in [serve(line) for _ in range(2)]


def test_idling_saves_nothing_up() -> None:
    line = WaitingQueue()
    for _ in range(1000):
        line.charge("busy", Priority.NORMAL, seconds(ticket().price))
    line.add(ticket("idle"))  # joins an empty line
    for _ in range(9):
        line.add(ticket("idle"))
        line.add(ticket("busy"))
    first = [each.tenant for each in served(line)[:8]]
    assert 3 <= first.count("busy") <= 5


def test_a_tenant_served_without_waiting_is_charged_too() -> None:
    line = line_of(ticket("other"))
    line.charge("rich", Priority.NORMAL, seconds(ticket(prompt_tokens=1000).price))
    line.add(ticket("rich"))
    line.add(ticket("other"))
    assert [each.tenant for each in served(line)] == ["other", "other", "rich"]


def test_a_request_that_leaves_from_anywhere_is_not_served() -> None:
    tickets = [ticket() for _ in range(5)]
    line = line_of(*tickets)
    for gone in (tickets[2], tickets[0], tickets[4]):
        assert line.remove(gone.ticket_id) is gone
        assert line.remove(gone.ticket_id) is None
    assert served(line) == [tickets[1], tickets[3]]


def test_a_tenant_that_left_and_returns_keeps_its_counter() -> None:
    line = line_of(ticket("a"), ticket("b"))
    serve(line)
    again = ticket("a")
    line.add(again)
    assert [each.tenant for each in served(line)] == ["b", "a"]


def test_who_is_past_its_deadline_is_found_soonest_first() -> None:
    late, later, never = (ticket(expires_at_s=at_s) for at_s in (5.0, 7.0, 9.0))
    line = line_of(never, later, late)
    assert line.expired(4.9) is None
    assert line.expired(5.0) is late
    assert line.expired(8.0) is late  # still in line
    line.remove(late.ticket_id)
    assert line.expired(8.0) is later
    line.remove(later.ticket_id)
    assert line.expired(8.0) is None


def test_a_storm_of_cancellations_leaves_no_litter() -> None:
    line = line_of(*(ticket("patient") for _ in range(10)))
    for number in range(20_000):
        gone = ticket(f"tenant-{number % 20}", expires_at_s=100.0)
        line.add(gone)
        line.remove(gone.ticket_id)
    assert len(line._deadlines) < 200
    turns = line._classes[Priority.NORMAL]
    assert len(turns._order) == len(turns._entry) == 1
    assert list(turns._queues) == ["patient"]
    assert len(line) == 10


def test_a_newcomer_overtakes_all_when_its_class_and_those_above_are_empty() -> None:
    line = line_of(ticket(priority=Priority.NORMAL))
    assert line.overtakes_all(Priority.HIGH, 0.0)
    assert not line.overtakes_all(Priority.NORMAL, 0.0)
    assert not line.overtakes_all(Priority.LOW, 0.0)


def test_ahead_are_all_higher_classes_and_the_own_up_to_ones_turn() -> None:
    line = line_of(
        *(ticket("x", Priority.HIGH) for _ in range(3)),
        *(ticket("busy") for _ in range(10)),
        *(ticket("low", Priority.LOW) for _ in range(100)),
    )
    assert line.ahead_of("busy", Priority.NORMAL, 1e9).requests == 3 + 10
    assert line.ahead_of("new", Priority.NORMAL, 1e9).requests == 3 + 1
    assert line.ahead_of("new", Priority.HIGH, 1e9).requests == 1
    assert line.load.requests == 113


def test_nothing_is_ahead_in_an_empty_queue() -> None:
    assert WaitingQueue().ahead_of("a", Priority.LOW, 1e9) == QueueLoad()


def test_tickets_behind_the_head_are_listed_tenant_by_tenant() -> None:
    head, second = ticket("a"), ticket("a")
    other, low = ticket("b"), ticket("a", Priority.LOW)
    line = line_of(head, second, low, other)
    assert line.head(0.0) is head
    assert line.behind(head, 8) == [other, second, low]
    assert line.behind(head, 1) == [other]


def test_an_earlier_deadline_is_behind_fewer_of_its_own() -> None:
    line = line_of(*(ticket("a", expires_at_s=at_s) for at_s in range(10, 20)))
    assert line.ahead_of("a", Priority.NORMAL, 14.5).requests == 5
    assert line.ahead_of("a", Priority.NORMAL, 15.0).requests == 6  # behind its equal
    assert line.ahead_of("a", Priority.NORMAL, 5.0).requests == 0


# -- weights and corrections ---------------------------------------------------------------


def weighted(**weights: float) -> Settings:
    """Settings in which the tenants so named have these weights."""
    return Settings(tenants={name: TenantTerms(weight=w) for name, w in weights.items()})


def test_tenants_take_turns_by_their_weights() -> None:
    line = WaitingQueue(weighted(heavy=3.0))
    for _ in range(40):
        line.add(ticket("heavy"))
        line.add(ticket("light"))
    first = [serve(line).tenant for _ in range(40)]
    assert 28 <= first.count("heavy") <= 32


def test_fewer_go_before_a_tenant_of_more_weight() -> None:
    line = WaitingQueue(weighted(heavy=4.0))
    for name in ("x", "y", "heavy", "light"):
        for _ in range(4):
            line.add(ticket(name))
    assert line.ahead_of("new", Priority.NORMAL, 1e9).requests == 4  # all asked before it
    assert line.ahead_of("heavy", Priority.NORMAL, 1e9).requests == 4 + 4 * 3 // 4 + 2
    assert line.ahead_of("light", Priority.NORMAL, 1e9).requests == 16
    line.reconfigure(weighted(heavy=1.0, light=6.0))
    assert line.ahead_of("light", Priority.NORMAL, 1e9).requests == 4 + 4 * 3 // 6 + 3


def test_the_tenant_served_less_goes_first_whichever_waits_longer() -> None:
    line = line_of(*(ticket("greedy") for _ in range(50)))
    line.charge("greedy", Priority.NORMAL, 100.0)
    line.add(ticket("modest"))
    assert line.ahead_of("new", Priority.NORMAL, 1e9).requests == 1


def test_a_charge_that_is_set_right_changes_whose_turn_it_is() -> None:
    line = line_of(ticket("a"), ticket("b"))
    line.charge("a", Priority.NORMAL, 10.0)
    line.charge("b", Priority.NORMAL, 5.0)
    assert line.head(0.0).tenant == "b"  # type: ignore[union-attr]
    line.correct("a", Priority.NORMAL, -8.0)
    assert line.head(0.0).tenant == "a"  # type: ignore[union-attr]
    line.correct("a", Priority.NORMAL, 9.0)
    assert line.head(0.0).tenant == "b"  # type: ignore[union-attr]


# -- rising --------------------------------------------------------------------------------


def test_a_request_rises_a_class_each_time_half_of_what_was_left_is_over() -> None:
    low = ticket(priority=Priority.LOW, arrived_at_s=100.0, expires_at_s=140.0)
    seen = [risen(low, at_s) for at_s in (100.0, 119.0, 120.0, 129.0, 130.0, 139.0)]
    assert seen == [Priority.LOW] * 2 + [Priority.NORMAL] * 2 + [Priority.HIGH] * 2


def test_a_risen_class_gets_one_tenants_share_of_the_class_above() -> None:
    line = line_of(*(ticket(str(n % 20), Priority.LOW, expires_at_s=40.0) for n in range(100)))
    for number in range(300):
        line.add(ticket(f"vip-{number % 3}", Priority.HIGH, expires_at_s=40.0))
    assert all(serve(line, 29.0).priority is Priority.HIGH for _ in range(30))
    turns = [serve(line, 31.0).priority for _ in range(100)]
    assert 24 <= turns.count(Priority.LOW) <= 26


def test_a_newcomer_does_not_overtake_a_class_that_has_risen_to_its_own() -> None:
    line = line_of(ticket(priority=Priority.LOW, expires_at_s=40.0))
    assert line.overtakes_all(Priority.NORMAL, 19.0)
    assert not line.overtakes_all(Priority.NORMAL, 20.0)
    assert line.overtakes_all(Priority.HIGH, 29.0)
    assert not line.overtakes_all(Priority.HIGH, 30.0)


@given(
    crowd=st.integers(1, 6),
    prompts=st.lists(st.integers(1, 400), min_size=1, max_size=20),
    lowest=st.sampled_from([Priority.NORMAL, Priority.LOW]),
)
def test_no_request_starves_behind_a_class_that_never_empties(
    crowd: int, prompts: list[int], lowest: Priority
) -> None:
    """One turn a second; every tenant of the high class always has a next request."""
    waits = ticket("modest", lowest, expires_at_s=600.0)
    line = line_of(waits)
    for second in range(600):
        for number in range(crowd):
            tokens = prompts[(second + number) % len(prompts)]
            line.add(ticket(f"vip-{number}", Priority.HIGH, prompt_tokens=tokens, arrived_at_s=0.0))
        if serve(line, float(second)) is waits:
            return
    raise AssertionError("it starved")


class Line(RuleBasedStateMachine):
    """Joining, leaving, being served and expiring in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WaitingQueue()
        self.waiting: dict[int, Ticket] = {}
        self.now_s = 0.0

    @rule(
        tenant=st.sampled_from("abc"),
        priority=st.sampled_from(list(Priority)),
        prompt_tokens=st.integers(1, 500),
        patience_s=st.integers(0, 20),
    )
    def join(self, tenant: str, priority: Priority, prompt_tokens: int, patience_s: int) -> None:
        new = ticket(
            tenant,
            priority,
            prompt_tokens=prompt_tokens,
            expires_at_s=self.now_s + patience_s,
            arrived_at_s=self.now_s,
        )
        self.queue.add(new)
        self.waiting[new.ticket_id] = new

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket_id = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.queue.remove(ticket_id) is self.waiting.pop(ticket_id)

    @precondition(lambda self: self.waiting)
    @rule()
    def serve(self) -> None:
        head = serve(self.queue, self.now_s)
        del self.waiting[head.ticket_id]
        order = list(Priority)
        class_now = order.index(risen(head, self.now_s))
        assert all(class_now <= order.index(t.priority) for t in self.waiting.values())
        own = [
            t
            for t in self.waiting.values()
            if (t.tenant, t.priority) == (head.tenant, head.priority)
        ]
        turn = (head.expires_at_s, head.ticket_id)
        assert all(turn < (t.expires_at_s, t.ticket_id) for t in own)

    @rule(tenant=st.sampled_from("abc"), seconds=st.floats(-5, 5))
    def set_right(self, tenant: str, seconds: float) -> None:
        for priority in Priority:
            self.queue.correct(tenant, priority, seconds)

    @rule(seconds=st.integers(1, 10))
    def expire(self, seconds: int) -> None:
        self.now_s += seconds
        while late := self.queue.expired(self.now_s):
            assert self.waiting.pop(late.ticket_id).expires_at_s <= self.now_s
            self.queue.remove(late.ticket_id)
        assert all(each.expires_at_s > self.now_s for each in self.waiting.values())

    @invariant()
    def the_sums_are_those_of_who_waits(self) -> None:
        assert {each.ticket_id for each in self.queue} == set(self.waiting)
        assert len(self.queue) == len(self.waiting)
        total = QueueLoad()
        for each in self.waiting.values():
            total.count(each, 1)
        assert self.queue.load == total
        for tenant in "abc":
            own = sum(each.tenant == tenant for each in self.waiting.values())
            assert self.queue.tenant_requests(tenant) == own

    @invariant()
    def there_is_a_head_while_somebody_waits(self) -> None:
        assert (self.queue.head(self.now_s) is not None) == bool(self.waiting)


TestLine = Line.TestCase
TestLine.settings = settings(max_examples=25, stateful_step_count=40)
