"""The endpoint itself: kept connections to it, and what the load test asks on its own behalf."""

import json
from typing import Any

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

_CONNECTIONS = 100_000  # an open loop must never wait for a free one; files are the real limit
_CONNECT_S = 10.0
LONGEST_S = 3600.0  # real seconds; an answer that takes longer never ends
_OWN_S = 30.0  # real seconds for what the load test asks itself
JSON = {"content-type": "application/json"}
BROKEN = (OSError, HTTPParseError, ValueError)  # connection, protocol, what is no JSON


class EndpointDownError(Exception):
    """Nothing answers there, or not as an inference endpoint; the message says what was tried."""


class Api:
    """An OpenAI-compatible endpoint."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        """`key` is for what the load test itself asks, e.g. the state; users bring their own.

        ValueError where `url` is none.
        """
        self.url = url.rstrip("/")
        self.client = HTTPClient.from_url(
            self.url,
            concurrency=_CONNECTIONS,
            connection_timeout=_CONNECT_S,
            network_timeout=None,  # a timer at each read costs 20 us a token; LONGEST_S guards
        )
        self._headers = JSON | ({"authorization": f"Bearer {key}"} if key else {})

    def close(self) -> None:
        """Gives the kept connections back."""
        self.client.close()

    def ask(self, path: str, sent: object = None) -> tuple[int, Any]:
        """Status and JSON of a GET, or of a POST of `sent`; EndpointDownError if nothing answers.

        The JSON is None where the answer is none.
        """
        status, text = self.read(path, sent)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, None

    def read(self, path: str, sent: object = None) -> tuple[int, str]:
        """As `ask`, the answer as text."""
        method, asked = ("GET", b"") if sent is None else ("POST", json.dumps(sent).encode())
        try:
            with gevent.Timeout(_OWN_S, TimeoutError(f"no answer within {_OWN_S:g} s")):
                response = self.client.request(method, path, asked, self._headers)
                body = response.read()
        except BROKEN as problem:
            raise EndpointDownError(f"{self.url}{path}: {problem!r}") from problem
        return response.status_code, bytes(body).decode(errors="replace")
