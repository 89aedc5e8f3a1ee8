"""The official SDKs pointed at a running gateway, and plain HTTP for what no SDK would send."""

import http.client
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import openai

from tests.live.gateway import Gateway

MODEL = "smollm2-135m-instruct"
TIMEOUT_S = 120.0  # an answer of a few tokens; the machine may be busy

# The smallest good body of each generation route.
GOOD: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": 2,
    },
    "/v1/completions": {"model": MODEL, "prompt": "Hello!", "max_tokens": 2},
    "/v1/responses": {"model": MODEL, "input": "Hello!", "max_output_tokens": 2},
    "/v1/messages": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": 2,
    },
}


def openai_of(gateway: Gateway, *, key: str = "none") -> openai.OpenAI:
    """OpenAI's SDK; it does not retry, so that a test sees each answer."""
    return openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, timeout=TIMEOUT_S
    )


def async_openai_of(gateway: Gateway, *, key: str = "none") -> openai.AsyncOpenAI:
    """The same for asyncio."""
    return openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, timeout=TIMEOUT_S
    )


def anthropic_of(gateway: Gateway, *, key: str = "none") -> anthropic.Anthropic:
    """Anthropic's SDK, without retries."""
    return anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0, timeout=TIMEOUT_S)


def async_anthropic_of(gateway: Gateway, *, key: str = "none") -> anthropic.AsyncAnthropic:
    """The same for asyncio."""
    return anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=key, max_retries=0, timeout=TIMEOUT_S
    )


@dataclass(frozen=True)
class Answer:
    """What came back; header names are lower case, a repeated one is joined by ", "."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def send(
    gateway: Gateway,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request. A `body` of bytes or an iterator of bytes goes as it is (the latter chunked).

    Anything else but None goes as JSON.
    """
    raw = body is None or isinstance(body, bytes) or hasattr(body, "__next__")
    content = body if raw else json.dumps(body)
    chunked = hasattr(body, "__next__")
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT_S)
    try:
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, content, all_headers, encode_chunked=chunked)
        response = connection.getresponse()
        joined: dict[str, str] = {}
        for name, value in response.getheaders():
            joined[name.lower()] = (
                f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
            )
        return Answer(response.status, joined, response.read())
    finally:
        connection.close()


def tokens_in(gateway: Gateway, text: str) -> int:
    """How many tokens the model's tokenizer makes of `text`."""
    counted = send(gateway, "POST", "/tokenize", {"model": MODEL, "prompt": text})
    return int(counted.document["count"])


class Stream:
    """A chat stream that is read by a thread of its own until it ends or breaks."""

    def __init__(
        self, gateway: Gateway, *, model: str = MODEL, max_tokens: int, key: str = "none"
    ) -> None:
        self.chunks = 0
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        self._done = False
        fields = {"max_tokens": max_tokens, "stream": True, "ignore_eos": True}
        self._body = json.dumps({**GOOD["/v1/chat/completions"], "model": model, **fields})
        self._thread = threading.Thread(target=self._read, args=(gateway.port,), daemon=True)
        self._thread.start()

    def finished(self) -> bool:
        """Waits for its end; whether that was `[DONE]`."""
        self._thread.join(30.0)
        return self._done

    def _read(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/v1/chat/completions", self._body, self._headers)
            for line in connection.getresponse():
                self.chunks += 1
                self._done = self._done or line.startswith(b"data: [DONE]")
        except (OSError, http.client.HTTPException):
            pass  # cut: that is what some tests are about
        finally:
            connection.close()
