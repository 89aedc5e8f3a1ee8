"""How long the answers of a class are that still run."""

from admission.controller import Controller
from admission.price.footprint import PromptShape, RequestShape
from admission.price.unfinished import Unfinished
from admission.terms.settings import Settings
from tests.admission.examples import accepted, engine, offer, record

WIDE = engine(usable_blocks=10_000, max_sequences=64, max_model_len=8_192)


def test_an_answer_counts_in_its_class_and_its_parents_until_it_is_over() -> None:
    unfinished = Unfinished({1: 10, 2: 20}.__getitem__)
    unfinished.begin(1, (("a",), ("all",)))
    unfinished.begin(2, (("b",), ("all",)))
    assert unfinished.produced(("all",)) == [10, 20]
    unfinished.end(1)
    unfinished.end(1)
    unfinished.end(3)
    assert (unfinished.produced(("a",)), unfinished.produced(("all",))) == ([], [20])
    unfinished.end(2)
    assert not unfinished._rows


def test_while_long_answers_run_the_short_ones_that_ended_first_say_little() -> None:
    gate = Controller(WIDE, Settings(cold_start_requests=5))
    asked = offer(RequestShape((PromptShape(100, 4_000),)))
    leases = [accepted(gate.offer(asked, 0.0)) for _ in range(16)]
    rows = [gate.rows_of(lease)[0] for lease in leases]
    gate.progress(record(dict.fromkeys(rows, 10), prefill_tokens=1600), 1.0)
    gate.progress(record(dict.fromkeys(rows[8:], 900), ended=tuple(rows[:8])), 2.0)
    for lease, row in zip(leases[:8], rows[:8], strict=True):
        gate.learn(lease, row, 10)
        gate.release(lease, 2.0, in_engine=True)
    (predicted,) = gate.quote(asked).predictions
    assert predicted.samples == 8
    assert predicted.tokens == 1800
    assert predicted.expected_tokens == (10 + 1800) // 2
