"""OpenAI's own SDK, sync and async, streaming and not, on all three of its APIs."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from tests.live.ask import GONE_S, nothing_held, state_of
from tests.live.clients import MODEL, async_openai_of, openai_of, send, tokens_in
from tests.live.gateway import Gateway, wait_until

QUESTION = "Name three colours of the rainbow."
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
GREEDY: dict[str, Any] = {"model": MODEL, "temperature": 0}
LONG = "The quick brown fox jumps over the lazy dog. " * 30  # more than two KV blocks


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """The sync SDK."""
    with openai_of(gateway) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
async def either(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[Any]:
    """Both SDKs, one after the other."""
    if request.param == "sync":
        with openai_of(gateway) as client:
            yield client
        return
    async with async_openai_of(gateway) as async_client:
        yield async_client


async def result_of(answer: Any) -> Any:
    """What a call of either SDK returned, awaited if need be; of a stream the list of events."""
    if isinstance(answer, Awaitable):
        answer = await answer
    if isinstance(answer, openai.Stream):
        return list(answer)
    if isinstance(answer, openai.AsyncStream):
        return [event async for event in answer]
    return answer


# -- text and usage, on each API, in each way ----------------------------------------------


@dataclass(frozen=True)
class Told:
    """An answer as all three APIs tell it."""

    text: str
    prompt_tokens: int
    output_tokens: int
    end: str | None


async def ask_chat(client: Any, tokens: int, *, stream: bool) -> Told:
    rest = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = await result_of(
        client.chat.completions.create(messages=MESSAGES, max_tokens=tokens, **GREEDY, **rest)
    )
    if not stream:
        (choice,) = answer.choices
        return _told(choice.message.content, answer.usage, choice.finish_reason)
    *chunks, last = answer
    assert last.choices == []
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.usage is None for chunk in chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return _told(text, last.usage, chunks[-1].choices[0].finish_reason)


async def ask_completion(client: Any, tokens: int, *, stream: bool) -> Told:
    rest = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = await result_of(
        client.completions.create(prompt=QUESTION, max_tokens=tokens, **GREEDY, **rest)
    )
    if not stream:
        (choice,) = answer.choices
        return _told(choice.text, answer.usage, choice.finish_reason)
    *chunks, last = answer
    assert last.choices == []
    text = "".join(chunk.choices[0].text for chunk in chunks)
    return _told(text, last.usage, chunks[-1].choices[0].finish_reason)


async def ask_responses(client: Any, tokens: int, *, stream: bool) -> Told:
    answer = await result_of(
        client.responses.create(input=QUESTION, max_output_tokens=tokens, stream=stream, **GREEDY)
    )
    if stream:
        kinds = [event.type for event in answer]
        assert kinds[0] == "response.created"
        pieces = [e.delta for e in answer if e.type == "response.output_text.delta"]
        answer = answer[-1].response
        assert "".join(pieces) == answer.output_text
    why = answer.incomplete_details.reason if answer.incomplete_details else answer.status
    usage = answer.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    return Told(answer.output_text, usage.input_tokens, usage.output_tokens, why)


def _told(text: str | None, usage: Any, end: str | None) -> Told:
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return Told(text or "", usage.prompt_tokens, usage.completion_tokens, end)


Ask = Callable[..., Awaitable[Told]]
OF_LENGTH = {"length", "max_output_tokens"}


@pytest.mark.parametrize("ask", [ask_chat, ask_completion, ask_responses])
async def test_text_and_usage_are_the_same_streamed_or_whole(ask: Ask, either: Any) -> None:
    whole = await ask(either, 8, stream=False)
    streamed = await ask(either, 8, stream=True)
    assert streamed == whole
    assert whole.text
    assert whole.output_tokens == 8
    assert whole.end in OF_LENGTH


async def test_usage_counts_the_prompt_as_the_tokenizer_does(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    told = await ask_completion(client, 1, stream=False)
    assert told.prompt_tokens == tokens_in(gateway, QUESTION)


async def test_a_stream_without_include_usage_has_no_usage(either: Any) -> None:
    chunks = await result_of(
        either.chat.completions.create(messages=MESSAGES, max_tokens=2, stream=True, **GREEDY)
    )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
async def test_prompt_tokens_details_tell_what_was_cached(either: Any, stream: bool) -> None:
    rest: dict[str, Any] = {"max_tokens": 1, "stream": stream, **GREEDY}
    if stream:
        rest["stream_options"] = {"include_usage": True}
    for _ in range(2):
        answer = await result_of(either.completions.create(prompt=LONG, **rest))
    usage = answer[-1].usage if stream else answer.usage
    assert 128 <= usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens


# -- what a request can ask for ------------------------------------------------------------


async def test_n_answers_share_one_prompt(either: Any) -> None:
    answer = await result_of(
        either.chat.completions.create(model=MODEL, messages=MESSAGES, n=2, max_tokens=4)
    )
    alone = await ask_chat(either, 1, stream=False)
    assert sorted(choice.index for choice in answer.choices) == [0, 1]
    assert answer.usage.prompt_tokens == alone.prompt_tokens
    assert 2 <= answer.usage.completion_tokens <= 8

    chunks = await result_of(
        either.chat.completions.create(
            model=MODEL, messages=MESSAGES, n=2, max_tokens=4, stream=True
        )
    )
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}


async def test_several_prompts_of_one_body_are_answered_in_order(either: Any) -> None:
    prompts = ["One, two,", "Monday, Tuesday,", "Red, green and"]
    answer = await result_of(
        either.completions.create(prompt=prompts, max_tokens=3, n=2, best_of=None, model=MODEL)
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3, 4, 5]
    singly = [
        await result_of(either.completions.create(prompt=p, max_tokens=1, **GREEDY))
        for p in prompts
    ]
    assert answer.usage.prompt_tokens == sum(each.usage.prompt_tokens for each in singly)


async def test_a_prompt_may_be_token_ids(gateway: Gateway, client: openai.OpenAI) -> None:
    body = {"model": MODEL, "prompt": QUESTION}
    ids = send(gateway, "POST", "/tokenize", body).document["tokens"]
    back = send(gateway, "POST", "/detokenize", {"model": MODEL, "tokens": ids}).document["prompt"]
    assert back == QUESTION
    by_ids = client.completions.create(prompt=ids, max_tokens=6, **GREEDY)
    assert by_ids.choices[0].text == (await ask_completion(client, 6, stream=False)).text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_string_ends_the_answer_before_it(either: Any, stream: bool) -> None:
    count: dict[str, Any] = {"prompt": "1 2 3 4 5 6 7 8 9", "max_tokens": 12, **GREEDY}
    whole = (await result_of(either.completions.create(**count))).choices[0].text
    stop = re.findall(r"\S+", whole)[1]
    answer = await result_of(either.completions.create(stop=[stop], stream=stream, **count))
    last = answer[-1] if stream else answer
    text = "".join(c.choices[0].text for c in answer) if stream else answer.choices[0].text
    assert text == whole[: whole.index(stop)]
    assert last.choices[0].finish_reason == "stop"


async def test_logprobs_come_with_every_token(either: Any) -> None:
    chat = await result_of(
        either.chat.completions.create(
            messages=MESSAGES, max_tokens=3, logprobs=True, top_logprobs=2, **GREEDY
        )
    )
    content = chat.choices[0].logprobs.content
    assert len(content) == 3
    for token in content:
        assert token.logprob == max(other.logprob for other in token.top_logprobs) <= 0
        assert len(token.top_logprobs) == 2
    completion = await result_of(
        either.completions.create(prompt=QUESTION, max_tokens=3, logprobs=2, **GREEDY)
    )
    assert len(completion.choices[0].logprobs.token_logprobs) == 3


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_both_names_of_the_limit_count_and_the_new_one_wins(either: Any, name: str) -> None:
    limits: dict[str, int] = {"max_tokens": 9} | {name: 4}
    answer = await result_of(
        either.chat.completions.create(
            messages=MESSAGES, extra_body={"ignore_eos": True}, **limits, **GREEDY
        )
    )
    assert answer.usage.completion_tokens == 4
    assert answer.choices[0].finish_reason == "length"


async def test_a_priority_of_the_caller_s_own_is_dropped(client: openai.OpenAI) -> None:
    # vLLM itself answers 400: its scheduler has no priorities here
    answer = client.chat.completions.create(
        messages=MESSAGES, max_tokens=1, extra_body={"priority": -5}, **GREEDY
    )
    assert answer.usage is not None


# -- models, headers -----------------------------------------------------------------------


async def test_the_model_list_says_how_long_a_request_may_be(either: Any, gateway: Gateway) -> None:
    listed = await result_of(either.models.list())
    (model,) = listed.data
    assert model.id == MODEL
    assert model.max_model_len == state_of(gateway)["engine"]["max_model_len"]


async def test_every_answer_carries_our_headers(either: Any, gateway: Gateway) -> None:
    raw = either.chat.completions.with_raw_response
    answer = await result_of(
        raw.create(
            messages=MESSAGES, max_tokens=1, extra_headers={"x-request-id": "mine-7"}, **GREEDY
        )
    )
    assert answer.headers["x-request-id"] == "mine-7"
    assert answer.request_id == "mine-7"
    assert answer.headers["x-sluice-config"] == state_of(gateway)["config"]["hash"]
    assert int(answer.headers["x-sluice-queued-ms"]) >= 0
    assert re.fullmatch(r"queue;dur=[0-9.]+, prefill;dur=[0-9.]+", answer.headers["server-timing"])


async def test_an_answer_without_an_id_of_the_caller_gets_one(either: Any) -> None:
    listed = await result_of(either.models.with_raw_response.list())
    again = await result_of(either.models.with_raw_response.list())
    assert listed.request_id
    assert listed.request_id != again.request_id


def test_after_all_this_nothing_is_held_and_the_ledger_was_never_below_the_engine(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    client.completions.create(prompt=QUESTION, max_tokens=2, model=MODEL)
    wait_until(lambda: nothing_held(gateway), within_s=GONE_S)
    check = state_of(gateway)["ledger_check"]
    assert check["records"] > 0
    assert check["below_records"] == 0, check
