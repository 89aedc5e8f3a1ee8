"""What admission says of itself, held against what requests then really get."""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.live.ask import GONE_S, body_of, metric, nothing_held, state_of
from tests.live.clients import GOOD, MODEL, async_openai_of, openai_of, send
from tests.live.gateway import Gateway, wait_until

CHAT, COMPLETIONS, RESPONSES, MESSAGES = GOOD
LONG = "The quick brown fox jumps over the lazy dog. " * 30  # more than two blocks
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
STATE_BYTES_MAX = 8192


def explained(gateway: Gateway, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The explanation of a body for `route`."""
    answer = send(gateway, "POST", f"/v1/admission/explain?route={route}", body)
    assert answer.status == 200, answer.body
    told: dict[str, Any] = answer.document
    return told


def prompt_tokens_of(usage: dict[str, int]) -> int:
    """Under whichever name the API has for it."""
    return usage.get("prompt_tokens") or usage["input_tokens"]


def test_a_prompt_that_was_seen_is_foreseen_in_the_cache_and_found_there(gateway: Gateway) -> None:
    fields = {"messages": [{"role": "user", "content": f"Once, {time.time_ns()}: {LONG}"}]}
    body = {**GOOD[CHAT], **fields}
    first = explained(gateway, CHAT, body)["price"]
    send(gateway, "POST", CHAT, body)
    told = explained(gateway, CHAT, body)["price"]
    assert told["cached_tokens"] >= first["cached_tokens"] + 128
    assert told["prefill_tokens"] == told["prompt_tokens"] - told["cached_tokens"]
    usage = send(gateway, "POST", CHAT, body).document["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == told["cached_tokens"]
    seen = state_of(gateway)["prefix_cache"]
    assert seen["foreseen_tokens"] >= told["cached_tokens"]
    assert seen["found_tokens"] >= told["cached_tokens"]


# -- explain -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        (CHAT, {}),
        (CHAT, {"messages": [{"role": "user", "content": LONG}], "n": 2}),
        (CHAT, {"tools": [TOOL]}),
        (CHAT, {"truncate_prompt_tokens": 5}),
        (COMPLETIONS, {}),
        (COMPLETIONS, {"prompt": ["one", "one two three", "four five"], "n": 2}),
        (COMPLETIONS, {"prompt": [5, 6, 7]}),
        (RESPONSES, {"instructions": "Be brief."}),
        (MESSAGES, {"system": "Be brief."}),
        (MESSAGES, {"messages": [{"role": "system", "content": "Be brief."}] * 2}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_price_counts_the_prompt_tokens_that_usage_counts(
    gateway: Gateway, route: str, fields: dict[str, Any]
) -> None:
    body = {**GOOD[route], **fields}
    told = explained(gateway, route, body)
    answer = send(gateway, "POST", route, body)
    assert answer.status == 200, answer.body
    assert told["decision"] == {"outcome": "accepted"}
    assert told["price"]["prompt_tokens"] == prompt_tokens_of(answer.document["usage"])


def test_two_answers_share_the_full_blocks_of_their_prompt(gateway: Gateway) -> None:
    body = {"model": MODEL, "prompt": LONG, "max_tokens": 4}
    block_tokens = state_of(gateway)["engine"]["block_tokens"]
    one, two, apart = (
        explained(gateway, COMPLETIONS, body | more)["price"]
        for more in ({}, {"n": 2}, {"n": 2, "prompt_logprobs": 0})
    )
    full_blocks = (one["prompt_tokens"] - 1) // block_tokens
    assert full_blocks >= 2
    assert one["blocks_now"] == full_blocks + 1
    assert two["blocks_now"] == full_blocks + 2
    assert apart["blocks_now"] == 2 * one["blocks_now"], "logits of the prompt: nothing is shared"
    assert two["prompt_tokens"] == one["prompt_tokens"]


def test_an_answer_of_known_length_is_priced_to_its_end(gateway: Gateway) -> None:
    body = {**GOOD[CHAT], "max_tokens": 500, "ignore_eos": True}
    price = explained(gateway, CHAT, body)["price"]
    block_tokens = state_of(gateway)["engine"]["block_tokens"]
    assert price["predicted_output_tokens"] == 500
    assert price["blocks_peak"] == -(-(price["prompt_tokens"] + 500) // block_tokens)
    assert price["predictions"][0]["known_length"]


def test_a_body_larger_than_the_cache_is_explained_and_refused_alike(gateway: Gateway) -> None:
    body = {**GOOD[CHAT], "n": 20, "max_tokens": 4000, "ignore_eos": True}
    told = explained(gateway, CHAT, body)
    assert told["binding_limit"] == "kv"
    assert told["decision"]["outcome"] == "rejected"
    assert told["decision"]["reason"] == "never_fits"
    (kv,) = [budget for budget in told["budgets"] if budget["limit"] == "kv"]
    assert kv["needed"] == told["price"]["blocks_peak"] > kv["capacity"]
    answer = send(gateway, "POST", CHAT, body)
    assert (answer.status, answer.document["error"]["code"]) == (400, "never_fits")
    assert answer.document["error"]["message"] == told["decision"]["message"]


def test_the_route_is_known_by_the_body_s_own_key(gateway: Gateway) -> None:
    for route in (CHAT, COMPLETIONS, RESPONSES):
        guessed = send(gateway, "POST", "/v1/admission/explain", GOOD[route]).document
        assert guessed["price"] == explained(gateway, route, GOOD[route])["price"]


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("/v1/embeddings", {}),
        (CHAT, {"messages": 7}),
        (CHAT, {"max_tokens": -1}),
        (CHAT, {"n": 10**6}),
        (CHAT, {"logit_bias": {"999999": 1}}),
        (CHAT, {"use_beam_search": True}),
        (CHAT, {"seed": 7}),
        (CHAT, {"model": "gpt-9"}),
        (COMPLETIONS, {"prompt": "word " * 9000}),
        (RESPONSES, {"background": True}),
        (MESSAGES, {"max_tokens": 0}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_would_be_a_400_or_404_is_a_400_here(
    gateway: Gateway, route: str, fields: dict[str, Any]
) -> None:
    body = {**GOOD.get(route, {}), **fields}
    answer = send(gateway, "POST", f"/v1/admission/explain?route={route}", body)
    assert answer.status == 400
    assert answer.document["error"]["message"]


def test_explaining_runs_and_holds_nothing(gateway: Gateway) -> None:
    def done() -> list[float]:
        names = ("vllm:prompt_tokens_total", "sluice_admission_decisions_total")
        return [metric(gateway, name) for name in names]

    before = done()
    for route in GOOD:
        explained(gateway, route, GOOD[route])
    assert done() == before
    assert nothing_held(gateway)


# -- settings while serving ----------------------------------------------------------------

SETTINGS = "/v1/admission/settings"


def test_settings_change_under_a_stream_and_no_request_notices(gateway: Gateway) -> None:
    before = send(gateway, "GET", SETTINGS)
    changed = before.document | {"kv_headroom_ratio": 0.03}
    statuses: list[int] = []
    over = threading.Event()

    def ask_on() -> None:
        while not over.wait(0.05):
            statuses.append(send(gateway, "POST", COMPLETIONS, GOOD[COMPLETIONS]).status)

    asking = threading.Thread(target=ask_on)
    with openai_of(gateway) as client:
        stream = client.completions.create(
            model=MODEL, prompt="x", max_tokens=100, stream=True, extra_body={"ignore_eos": True}
        )
        chunks = iter(stream)
        next(chunks)
        asking.start()
        try:
            for _ in range(5):
                put = send(gateway, "PUT", SETTINGS, changed, {"If-Match": before.headers["etag"]})
                assert put.status == 200, put.body
                assert put.headers["etag"] != before.headers["etag"]
                assert put.document["changed"][0]["key"] == "kv_headroom_ratio"
                assert state_of(gateway)["settings"]["kv_headroom_ratio"] == 0.03
                seen = {"If-Match": put.headers["etag"]}
                back = send(gateway, "POST", f"{SETTINGS}/rollback", headers=seen)
                assert back.headers["etag"] == before.headers["etag"]
            rest = list(chunks)
        finally:
            over.set()
            asking.join(60.0)
    assert {*statuses} == {200}
    assert [chunk.choices[0].finish_reason for chunk in rest if chunk.choices][-1] == "length"
    newest = send(gateway, "GET", f"{SETTINGS}/history").document["history"][0]
    assert (newest["via"], newest["by"]) == ("rollback", "anonymous")
    late = send(gateway, "PUT", SETTINGS, changed, {"If-Match": put.headers["etag"]})
    assert late.status == 412
    assert send(gateway, "PUT", SETTINGS, {"mode": "observe"}, {"If-Match": "*"}).status == 400
    assert send(gateway, "GET", SETTINGS).document == before.document


# -- state and metrics ---------------------------------------------------------------------


def test_the_state_shows_a_running_request_and_forgets_it(gateway: Gateway) -> None:
    with openai_of(gateway) as client:
        stream = client.completions.create(
            model=MODEL, prompt=LONG, max_tokens=200, stream=True, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        state = state_of(gateway)
        stream.close()
    assert (state["leases"], state["unfinished_sequences"]) == (1, 1)
    assert state["sequences"]["held"] == 1
    assert 3 <= state["kv"]["held_blocks"] <= state["kv"]["projected_peak_blocks"]
    assert state["kv"]["held_blocks"] + state["kv"]["free_blocks"] == state["kv"]["capacity_blocks"]
    assert state["tenants"]["anonymous"]["leases"] == 1
    assert state["tenants"]["anonymous"]["held_blocks"] == state["kv"]["held_blocks"]
    wait_until(lambda: nothing_held(gateway), within_s=GONE_S)
    assert state_of(gateway)["tenants"] == {}


async def test_the_state_has_the_same_size_however_many_run(gateway: Gateway) -> None:
    idle = state_of(gateway)
    async with async_openai_of(gateway) as client:
        streams = await asyncio.gather(
            *(
                client.completions.create(model=MODEL, prompt="x", max_tokens=60, stream=True)
                for _ in range(40)
            )
        )
        text = await asyncio.to_thread(body_of, gateway, "/v1/admission/state")
        await asyncio.gather(*(stream.close() for stream in streams))
    busy = json.loads(text)
    assert busy["leases"] > 0
    assert busy.keys() == idle.keys()
    assert len(text) < STATE_BYTES_MAX
    await asyncio.to_thread(wait_until, lambda: nothing_held(gateway), within_s=GONE_S)


def test_metrics_keep_vllm_s_names_and_agree_with_the_state(gateway: Gateway) -> None:
    text = body_of(gateway, "/metrics").decode()
    for name in (
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:num_preemptions_total",
        "vllm:time_to_first_token_seconds_bucket",
        "vllm:generation_tokens_total",
        'sluice_admission_decisions_total{outcome="accepted",reason=""}',
        "sluice_kv_projected_peak_tokens",
        "sluice_queue_wait_seconds_bucket",
        'sluice_binding_limit{limit="kv"}',
        "sluice_output_predicted_tokens_bucket",
        "sluice_output_real_tokens_bucket",
    ):
        assert f"\n{name}" in text, name
    assert "ray_vllm" not in text
    engine = state_of(gateway)["engine"]
    assert engine["capacity_tokens"] == engine["usable_blocks"] * engine["block_tokens"]
    assert metric(gateway, "sluice_kv_capacity_tokens") == engine["capacity_tokens"]
    # gauges follow within a quarter of a second
    wait_until(lambda: metric(gateway, "sluice_kv_held_tokens") == 0, within_s=GONE_S)
    assert metric(gateway, "sluice_queue_size") == 0


def test_no_request_of_these_tests_surprised_the_ledger(gateway: Gateway) -> None:
    for name in (
        "vllm:num_preemptions_total",
        "sluice_engine_preemptions_total",
        "sluice_unleased_engine_calls_total",
        "sluice_step_record_failures_total",
    ):
        assert metric(gateway, name) == 0, name
    assert state_of(gateway)["ledger_check"]["below_records"] == 0
