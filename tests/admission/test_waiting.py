"""Who is next, who is fair, who is too late."""

from collections import Counter
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from admission.decision import Priority
from admission.footprint import price
from admission.waiting import Load, Ticket, WaitingLine
from tests.admission.examples import ENGINE, shape

_ids = count(1)


def ticket(
    tenant: str = "a",
    priority: Priority = Priority.NORMAL,
    *,
    prompt_tokens: int = 100,
    output_tokens: int = 50,
    expires_at_s: float = 1e9,
) -> Ticket:
    """A request that waits."""
    priced = price(shape(prompt_tokens, output_tokens), ENGINE, [output_tokens])
    return Ticket(next(_ids), tenant, priority, priced, expires_at_s)


def line_of(*tickets: Ticket) -> WaitingLine:
    """They joined in this order."""
    line = WaitingLine()
    for each in tickets:
        line.add(each)
    return line


def serve(line: WaitingLine) -> Ticket:
    """The head leaves the line and is charged."""
    head = line.head()
    assert head is not None
    line.remove(head.ticket_id)
    line.charge(head.tenant, head.priority, head.price)
    return head


def served(line: WaitingLine) -> list[Ticket]:
    """Everybody in the order of their turns."""
    return [serve(line) for _ in range(len(line))]


def test_a_tenant_is_served_in_order_of_arrival() -> None:
    tickets = [ticket(prompt_tokens=tokens) for tokens in (900, 10, 400)]
    assert served(line_of(*tickets)) == tickets


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
    line = WaitingLine()
    for _ in range(1000):
        line.charge("busy", Priority.NORMAL, ticket().price)
    line.add(ticket("idle"))  # joins an empty line
    for _ in range(9):
        line.add(ticket("idle"))
        line.add(ticket("busy"))
    first = [each.tenant for each in served(line)[:8]]
    assert 3 <= first.count("busy") <= 5


def test_a_tenant_served_without_waiting_is_charged_too() -> None:
    line = line_of(ticket("other"))
    line.charge("rich", Priority.NORMAL, ticket(prompt_tokens=1000).price)
    line.add(ticket("rich"))
    line.add(ticket("other"))
    assert [each.tenant for each in served(line)] == ["other", "other", "rich"]


def test_who_leaves_from_anywhere_is_not_served() -> None:
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
    group = line._classes[Priority.NORMAL]
    assert len(group._order) <= 21
    assert list(group.by_tenant) == ["patient"]
    assert len(line) == 10


def test_a_newcomer_overtakes_all_when_nobody_of_its_class_or_above_waits() -> None:
    line = line_of(ticket(priority=Priority.NORMAL))
    assert line.overtakes_all(Priority.HIGH)
    assert not line.overtakes_all(Priority.NORMAL)
    assert not line.overtakes_all(Priority.LOW)


def test_ahead_are_all_higher_classes_and_the_own_up_to_ones_turn() -> None:
    line = line_of(
        *(ticket("x", Priority.HIGH) for _ in range(3)),
        *(ticket("busy") for _ in range(10)),
        *(ticket("low", Priority.LOW) for _ in range(100)),
    )
    assert line.ahead_of("busy", Priority.NORMAL).requests == 3 + 10
    assert line.ahead_of("new", Priority.NORMAL).requests == 3 + 1
    assert line.ahead_of("new", Priority.HIGH).requests == 1
    assert line.load.requests == 113


def test_nobody_is_ahead_in_an_empty_line() -> None:
    assert WaitingLine().ahead_of("a", Priority.LOW) == Load()


class Line(RuleBasedStateMachine):
    """Joining, leaving, being served and expiring in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.line = WaitingLine()
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
            tenant, priority, prompt_tokens=prompt_tokens, expires_at_s=self.now_s + patience_s
        )
        self.line.add(new)
        self.waiting[new.ticket_id] = new

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket_id = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.line.remove(ticket_id) is self.waiting.pop(ticket_id)

    @precondition(lambda self: self.waiting)
    @rule()
    def serve(self) -> None:
        head = serve(self.line)
        del self.waiting[head.ticket_id]
        order = list(Priority)
        assert all(
            order.index(head.priority) <= order.index(t.priority) for t in self.waiting.values()
        )
        own = [
            t
            for t in self.waiting.values()
            if (t.tenant, t.priority) == (head.tenant, head.priority)
        ]
        assert all(head.ticket_id < t.ticket_id for t in own)

    @rule(seconds=st.integers(1, 10))
    def expire(self, seconds: int) -> None:
        self.now_s += seconds
        while late := self.line.expired(self.now_s):
            assert self.waiting.pop(late.ticket_id).expires_at_s <= self.now_s
            self.line.remove(late.ticket_id)
        assert all(each.expires_at_s > self.now_s for each in self.waiting.values())

    @invariant()
    def the_sums_are_those_of_who_waits(self) -> None:
        assert {each.ticket_id for each in self.line} == set(self.waiting)
        assert len(self.line) == len(self.waiting)
        total = Load()
        for each in self.waiting.values():
            total.count(each, 1)
        assert self.line.load == total
        for tenant in "abc":
            own = sum(each.tenant == tenant for each in self.waiting.values())
            assert self.line.tenant_requests(tenant) == own

    @invariant()
    def there_is_a_head_while_somebody_waits(self) -> None:
        assert (self.line.head() is not None) == bool(self.waiting)


TestLine = Line.TestCase
TestLine.settings = settings(max_examples=25, stateful_step_count=40)
