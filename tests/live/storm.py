"""Many different clients at once against a running gateway; what became of each of them."""

import asyncio
import json
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

_WORDS = [
    "river",
    "stone",
    "lamp",
    "cloud",
    "seven",
    "garden",
    "paper",
    "engine",
    "winter",
    "orange",
    "market",
    "silver",
    "window",
    "letter",
    "forest",
    "bridge",
    "copper",
    "island",
    "thunder",
    "pencil",
    "basket",
    "harbour",
    "violin",
    "cotton",
    "saddle",
]


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: `words` of prompt (about a token each), an answer of `max_tokens`."""

    words: int
    max_tokens: int
    stream: bool
    seed: int
    ignore_eos: bool = True
    hang_up: str | None = None  # "queued" | "first_byte" | "middle": when the client leaves


@dataclass(slots=True)
class Outcome:
    """What one client saw. `reason` is ours when refused; `error` anything unexpected."""

    shot: Shot
    status: int | None = None
    reason: str | None = None
    tokens: int | None = None
    finish: str | None = None
    error: str | None = None
    left: bool = False
    first_s: float | None = None  # from the send to the first content; streams only
    headers: dict[str, str] = field(default_factory=dict)


def mixed_shots(count: int, *, seed: int) -> list[Shot]:
    """Prompts of about 30-1,500 tokens, short ones more often, as in life; answers of 1-300.

    Half of them stream; half end when the model ends them. The mean is about 360 + 150 tokens.
    """
    rng = random.Random(seed)

    def log_uniform(low: int, high: int) -> int:
        return round(math.exp(rng.uniform(math.log(low), math.log(high))))

    return [
        Shot(
            words=log_uniform(15, 1000),  # plus the template; a word here is about 1.4 tokens
            max_tokens=rng.randint(1, 300),
            stream=index % 2 == 0,
            seed=seed * 100_000 + index,
            ignore_eos=rng.random() < 0.5,
        )
        for index in range(count)
    ]


def body_of(shot: Shot, model: str) -> dict[str, object]:
    """The chat body of a shot; every prompt begins differently, so nothing is shared."""
    rng = random.Random(shot.seed)
    prompt = f"{rng.random()} " + " ".join(rng.choice(_WORDS) for _ in range(shot.words))
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": shot.max_tokens,
        "temperature": 1.0,
        "stream": shot.stream,
        "ignore_eos": shot.ignore_eos,
        **({"stream_options": {"include_usage": True}} if shot.stream else {}),
    }


async def fire(
    url: str, model: str, shots: Sequence[Shot], *, ttft_ms: int = 120_000, timeout_s: float = 600
) -> list[Outcome]:
    """All shots at once; returns when each has its answer, its refusal, or has left."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        return await asyncio.gather(*(one(session, url, model, s, ttft_ms) for s in shots))


async def one(
    session: aiohttp.ClientSession, url: str, model: str, shot: Shot, ttft_ms: int
) -> Outcome:
    """One request from its send to whatever became of it."""
    outcome = Outcome(shot)
    begun_s = time.perf_counter()
    request = session.post(
        f"{url}/v1/chat/completions",
        json=body_of(shot, model),
        headers={"x-slo-ttft-ms": str(ttft_ms)},
    )
    try:
        async with asyncio.timeout(_patience_s(shot)):
            async with request as response:
                outcome.status = response.status
                outcome.headers = dict(response.headers)
                await _read(response, shot, outcome, begun_s)
    except TimeoutError:
        outcome.left = True
    except (aiohttp.ClientError, ConnectionError) as failure:
        outcome.error = repr(failure)
    return outcome


def _patience_s(shot: Shot) -> float | None:
    """Clients that hang up without having seen a byte leave by the clock."""
    rng = random.Random(shot.seed)
    if shot.hang_up == "queued":
        return rng.uniform(0.05, 0.5)
    if shot.hang_up == "middle" and not shot.stream:
        return rng.uniform(1.0, 6.0)
    return None


async def _read(
    response: aiohttp.ClientResponse, shot: Shot, outcome: Outcome, begun_s: float
) -> None:
    if response.status != 200:
        body = await response.json()
        outcome.reason = body["error"]["code"]
    elif shot.stream:
        await _read_stream(response, shot, outcome, begun_s)
    else:
        body = await response.json()
        outcome.tokens = body["usage"]["completion_tokens"]
        outcome.finish = body["choices"][0]["finish_reason"]


async def _read_stream(
    response: aiohttp.ClientResponse, shot: Shot, outcome: Outcome, begun_s: float
) -> None:
    events = 0
    async for line in response.content:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        events += 1
        if shot.hang_up == "first_byte" or (shot.hang_up == "middle" and events == 5):
            outcome.left = True
            response.close()
            return
        chunk = json.loads(line[6:])
        if "error" in chunk:
            outcome.error = chunk["error"]["message"]
        if chunk.get("usage"):
            outcome.tokens = chunk["usage"]["completion_tokens"]
        for choice in chunk.get("choices", ()):
            if outcome.first_s is None and choice.get("delta", {}).get("content"):
                outcome.first_s = time.perf_counter() - begun_s
            outcome.finish = choice.get("finish_reason") or outcome.finish


def tally(outcomes: Sequence[Outcome]) -> Counter[str]:
    """How many ended which way."""
    return Counter(
        "left" if o.left else "error" if o.error else f"{o.status} {o.reason or ''}".strip()
        for o in outcomes
    )
