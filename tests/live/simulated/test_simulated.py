"""Eight A10s that are not there: vLLM on modelled time, at four times its speed.

In the end the gateway is told to go by SIGTERM.
"""

import asyncio
import http.client
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest
import yaml

from tests.live.ask import body_of, metric, state_of
from tests.live.clients import Stream
from tests.live.conftest import OneAtATime
from tests.live.gateway import ROOT, Gateway, wait_until

NAME = "sim-qwen3-32b-8xa10"
SPEED = 4
MODEL = "qwen3-32b"
LENGTH = "simulated_output_tokens"
CARD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        "kind": {"enum": ["red", "green"]},
    },
    "required": ["name", "age", "tags", "kind"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
        "strict": True,
    },
}


@pytest.fixture
def simulated(gateway_of: OneAtATime) -> Gateway:
    return gateway_of(base=NAME, simulation={"speed": SPEED})


@pytest.fixture
def client(simulated: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulated.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": "Hello!"}]
    return client.chat.completions.create(model=MODEL, messages=messages, **fields)


def test_the_engine_runs_with_what_the_profile_says(simulated: Gateway) -> None:
    asked = yaml.safe_load((Path(ROOT) / "configs" / f"{NAME}.yaml").read_text())["engine_args"]
    state = state_of(simulated)
    engine = state["engine"]
    assert engine["block_tokens"] == asked["block_size"]
    assert engine["max_sequences"] == asked["max_num_seqs"]
    assert engine["max_batched_tokens"] == asked["max_num_batched_tokens"]
    assert engine["max_model_len"] == asked["max_model_len"]
    assert engine["prefix_caching"] is asked["enable_prefix_caching"]
    assert engine["lookahead_tokens"] == 1, "scheduling is not asynchronous"
    assert state["time_scale"] == SPEED
    assert state["plan"]["error_ratio"] == 0  # it is given the plan's memory: a smoke test
    assert 400_000 < engine["capacity_tokens"] < 600_000


def test_a_request_ends_when_it_says_or_when_its_own_length_is_reached(
    client: openai.OpenAI,
) -> None:
    def tokens(**fields: Any) -> tuple[int, str]:
        answer = ask(client, **fields)
        return answer.usage.completion_tokens, answer.choices[0].finish_reason

    assert tokens(extra_body={"vllm_xargs": {LENGTH: 17}}) == (17, "stop")
    assert tokens(extra_body={"vllm_xargs": {LENGTH: 5}, "min_tokens": 11}) == (11, "stop")
    assert tokens(max_tokens=23, extra_body={"ignore_eos": True}) == (23, "length")
    assert tokens(max_tokens=9, extra_body={"vllm_xargs": {LENGTH: 50}}) == (9, "length")


def test_drawn_lengths_differ(client: openai.OpenAI) -> None:
    answer = ask(client, n=6, max_tokens=3000)
    texts = {choice.message.content for choice in answer.choices}
    assert len(texts) == 6
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}


def test_json_and_tools_get_valid_answers(client: openai.OpenAI) -> None:
    schema: Any = {"type": "json_schema", "json_schema": {"name": "card", "schema": CARD}}
    answer = ask(client, response_format=schema, max_tokens=400)
    assert answer.choices[0].finish_reason == "stop"
    jsonschema.validate(json.loads(answer.choices[0].message.content), CARD)

    free = ask(client, response_format={"type": "json_object"}, max_tokens=400)
    assert isinstance(json.loads(free.choices[0].message.content), dict)

    called = ask(client, tools=[WEATHER], tool_choice="required", max_tokens=400)
    (call,) = called.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    jsonschema.validate(json.loads(call.function.arguments), WEATHER["function"]["parameters"])


def test_logprobs_are_refused_before_the_first_byte(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="no logprobs"):
            ask(client, max_tokens=2, logprobs=True, stream=stream)


def test_time_is_modelled_and_divided_by_the_speed(
    simulated: Gateway, client: openai.OpenAI
) -> None:
    begun_s = time.perf_counter()
    ask(client, max_tokens=100, extra_body={"ignore_eos": True})
    real_s = time.perf_counter() - begun_s
    steps = json.loads(body_of(simulated, "/v1/admission/steps"))
    decodes = [ms for prefill, decode, _, _, ms in steps["rows"] if decode == 1 and not prefill]
    modelled_s = sum(decodes[-99:]) / 1000
    # one sequence on eight A10s: some 15 to 50 ms a token, whatever the machine that runs this
    assert 99 * 0.010 < modelled_s < 99 * 0.100
    assert modelled_s > 2 * real_s

    wait_until(lambda: state_of(simulated)["simulation"] is not None, within_s=10)
    report = state_of(simulated)["simulation"]
    assert report["speed"] == SPEED
    assert report["steps"] > 100
    assert metric(simulated, "sluice_plan_kv_error_ratio") == 0


def test_a_crowd_shares_the_modelled_engine(simulated: Gateway) -> None:
    url = f"{simulated.url}/v1"

    async def crowd() -> list[Any]:
        fields: Any = {
            "model": MODEL,
            "prompt": "A short prompt for each of them",
            "max_tokens": 60,
            "extra_body": {"vllm_xargs": {LENGTH: 40}},
        }
        # closed inside its loop: sockets that only the collector finds fail the whole session
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(client.completions.create(**fields) for _ in range(64)))

    answers = asyncio.run(crowd())
    assert {answer.usage.completion_tokens for answer in answers} == {40}
    state = state_of(simulated)
    assert state["ledger_check"]["below_records"] == 0
    assert metric(simulated, "vllm:num_preemptions_total") == 0


def test_sigterm_finishes_what_runs_and_then_nothing_is_left(simulated: Gateway) -> None:
    long = Stream(simulated, model=MODEL, max_tokens=2000)  # some 15 s
    wait_until(lambda: long.chunks > 0, within_s=30.0)
    simulated.process.send_signal(signal.SIGTERM)
    refuses = http.client.SERVICE_UNAVAILABLE
    wait_until(lambda: simulated.get("/health") == refuses, within_s=5.0)
    assert simulated.process.wait(90.0) == 0
    assert long.finished()
    wait_until(lambda: not simulated.living(), within_s=5.0)
