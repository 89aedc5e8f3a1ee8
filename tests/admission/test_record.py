"""The decision record holds every field of the contract, and no text."""

import json
from typing import Any

import pytest

from admission.controller import Answer, Controller, Offer
from admission.price.footprint import EngineShape
from admission.record import Ending, Occasion, decision_record, end_record
from admission.terms.settings import Settings
from tests.admission.examples import ENGINE, EXACT, offer, shape

OCCASION = Occasion(
    at_s=1.5e9, mono_s=7.25, request_id="r1", route="/v1/completions", config_hash="0123456789ab"
)
FIELDS = (
    "v at mono_s id tenant priority route prompt_tokens cached_tokens prompts sequences max_tokens "
    "known_length deadline_s tpot_target_s class predicted price_blocks state account engine mode "
    "outcome reason limit config_hash"
)


def recorded(controller: Controller, asked: Offer, answer: Answer) -> dict[str, Any]:
    context = controller.context(asked, OCCASION.mono_s)
    return decision_record(OCCASION, asked, answer.quote, answer.decision, context)


def test_a_decision_is_recorded_with_its_price_and_what_it_met() -> None:
    controller = Controller(ENGINE, EXACT)
    controller.offer(offer(shape(1000, 500)), 0.0)
    asked = offer(shape(100, 60, sequences=2), arrived_at_s=7.0, patience_s=30.0)
    answer = controller.offer(asked, 7.25)
    written = recorded(controller, asked, answer)
    assert list(written) == FIELDS.split()
    assert written["v"] == 1
    assert (written["at"], written["mono_s"], written["id"]) == (1.5e9, 7.25, "r1")
    assert (written["prompt_tokens"], written["sequences"], written["max_tokens"]) == (100, 2, 60)
    assert (written["prompts"], written["tpot_target_s"]) == (1, None)
    assert EngineShape(**written["engine"]) == ENGINE
    assert written["mode"] == "enforce"
    assert (written["known_length"], written["deadline_s"]) == (True, 30.0)
    assert written["class"] == "tenant/a/7/6"
    assert written["predicted"] == {"q50": 60, "q90": 60}
    assert written["price_blocks"] == {"now": 8, "peak": 14}
    assert written["state"] == {
        "running": 3,
        "queue": 0,
        "held_blocks": 0,
        "peak_blocks": controller.ledger.curve.peak(),
        "prefill_backlog_tokens": 1104,
    }
    assert written["account"] == {
        "counter_s": pytest.approx(2e-4 * (500 + 60 + 60) + 1e-4 * (1000 + 104)),
        "kv_blocks": 94 + 14,
        "requests_left": None,
        "tokens_left": None,
        "reserved_blocks": 0,
    }
    assert (written["outcome"], written["reason"], written["limit"]) == ("accepted", None, None)


def test_a_place_in_the_queue_names_what_binds() -> None:
    controller = Controller(ENGINE, EXACT)
    controller.offer(offer(shape(1000, 500)), 0.0)
    asked = offer(shape(1000, 500, ignore_eos=False))
    answer = controller.offer(asked, 0.0)
    written = recorded(controller, asked, answer)
    assert (written["outcome"], written["reason"], written["limit"]) == ("queued", None, "kv")
    assert written["known_length"] is False
    assert written["state"]["queue"] == 1


def test_a_refusal_names_its_reason() -> None:
    controller = Controller(ENGINE, Settings())
    asked = offer(shape(16, 16, sequences=5))
    answer = controller.offer(asked, 0.0)
    written = recorded(controller, asked, answer)
    assert (written["outcome"], written["reason"]) == ("rejected", "never_fits")
    assert written["limit"] == "slots"
    controller.draining = True
    drained = controller.offer(asked, 0.0)
    written = recorded(controller, asked, drained)
    assert (written["outcome"], written["reason"], written["limit"]) == (
        "rejected",
        "draining",
        None,
    )


def test_records_are_json() -> None:
    controller = Controller(ENGINE, EXACT)
    asked = offer()
    answer = controller.offer(asked, 0.0)
    written = recorded(controller, asked, answer)
    assert json.loads(json.dumps(written)) == written


def test_an_ending_says_what_became_of_it() -> None:
    ending = Ending(
        request_id="r1",
        waited_s=0.5,
        ttft_s=0.7,
        tpot_s=None,
        output_tokens=1,
        finish="stop",
        preemptions=0,
    )
    assert end_record(ending) == {
        "v": 1,
        "id": "r1",
        "waited_s": 0.5,
        "ttft_s": 0.7,
        "tpot_s": None,
        "output_tokens": 1,
        "finish": "stop",
        "preemptions": 0,
    }
