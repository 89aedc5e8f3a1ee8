"""What mode shadow would have done, against how it ended."""

import pytest

from admission.terms.decision import Outcome
from admission.terms.shadow import OTHERS, Seen, ShadowReport, in_time

REFUSE = Seen("c", Outcome.REJECTED, "kv_capacity", True)


def report(*seen: Seen) -> ShadowReport:
    told = ShadowReport()
    for each in seen:
        told.note(each)
    return told


def test_who_would_be_refused_and_was_served_in_time_is_a_false_refusal() -> None:
    late = Seen("c", Outcome.REJECTED, "ttft_slo", False)
    total = report(REFUSE, late).total
    assert (total.would_refuse, total.false_refusals, total.missed_refusals) == (2, 1, 0)


def test_who_would_be_accepted_and_was_late_is_a_missed_refusal() -> None:
    late, good = (Seen("c", Outcome.ACCEPTED, None, kept) for kept in (False, True))
    total = report(late, good).total
    assert (total.requests, total.missed_refusals, total.false_refusals) == (2, 1, 0)


def test_who_would_have_waited_is_neither() -> None:
    total = report(Seen("c", Outcome.QUEUED, None, False)).total
    assert (total.would_queue, total.missed_refusals) == (1, 0)


def test_a_client_that_left_judges_nothing() -> None:
    total = report(Seen("c", Outcome.REJECTED, "slots", None)).total
    assert (total.would_refuse, total.unjudged, total.false_refusals) == (1, 1, 0)


def test_refusals_are_reported_by_reason_and_by_class() -> None:
    told = report(REFUSE, REFUSE, Seen("d", Outcome.REJECTED, "slots", False)).as_json()
    assert told["would_refuse_by_reason"] == {"kv_capacity": 2, "slots": 1}
    assert told["classes"]["c"]["false_refusals"] == 2
    assert told["classes"]["d"]["false_refusals"] == 0


def test_however_many_classes_come_the_report_stays_small() -> None:
    classes = [Seen(f"c{n}", Outcome.ACCEPTED, None, True) for n in range(1000)]
    told = report(*classes, *classes)
    assert len(told.classes) == 65
    assert told.classes[OTHERS].requests == 2 * (1000 - 64)
    assert told.total.requests == 2000


@pytest.mark.parametrize(
    ("ttft_s", "tpot_s", "kept"),
    [
        (1.0, 0.2, True),
        (1.1, 0.1, False),
        (0.5, 0.21, False),
        (0.5, None, True),
        (None, 0.1, False),
    ],
)
def test_in_time_is_within_both_bounds(
    ttft_s: float | None, tpot_s: float | None, kept: bool
) -> None:
    assert in_time(ttft_s, tpot_s, deadline_s=1.0, tpot_target_s=0.2) is kept
    assert in_time(0.5, 9.0, deadline_s=1.0, tpot_target_s=None)
