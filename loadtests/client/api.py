"""The endpoint itself: connections to it, and what the load test asks on its own behalf."""

import json
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

from loadtests.client.address import Address, parse_address
from loadtests.client.sender import Sender

LONGEST_S = 3600.0  # real seconds; an answer that takes longer never ends
_OWN_S = 30.0  # real seconds for what the load test asks itself
JSON = {"content-type": "application/json"}
BROKEN = (OSError, HTTPParseError, ValueError)  # connection, protocol, what is no JSON


class EndpointDownError(Exception):
    """Nothing answers there, or not as an inference endpoint; the message says what was tried."""


class Api:
    """An OpenAI-compatible endpoint. `has_state` = it is asked for the state of its admission."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        """`key` is for what the load test itself asks, e.g. the state; users bring their own.

        ValueError where `url` is none.
        """
        self.url = url.rstrip("/")
        self.sender = Sender(parse_address(url))
        self.has_state = True
        self._headers = JSON | ({"authorization": f"Bearer {key}"} if key else {})

    @property
    def client(self) -> HTTPClient:
        """The kept connections to the endpoint itself."""
        return self.sender.client(self.sender.address)

    def place(self, path: str) -> str:
        """The URL of a path, for who reads of it."""
        return self.sender.address.origin + self.sender.address.target(path)

    def close(self) -> None:
        """Gives the kept connections back."""
        self.sender.close()

    def ask(self, path: str, sent: object = None) -> tuple[int, Any]:
        """Status and JSON of a GET, or of a POST of `sent`; EndpointDownError if nothing answers.

        The JSON is None where the answer is none.
        """
        status, text = self.read(path, sent)
        return status, _json(text)

    def ask_optional(self, path: str, sent: object = None) -> tuple[int, Any]:
        """As `ask`; (0, None) where a route that not every endpoint has is not answered at all."""
        try:
            return self.ask(path, sent)
        except EndpointDownError:
            return 0, None

    def read(self, path: str, sent: object = None) -> tuple[int, str]:
        """As `ask`, the answer as text."""
        status, text, _, _ = self._read(path, sent)
        return status, text

    def find(self, path: str) -> tuple[int, Any, str | None]:
        """As `ask`, and a word where it was found elsewhere than below the URL that was given.

        From then on all requests go there: not every endpoint has `/v1` in its paths, and one that
        redirects every request would cost each a round trip. Never to another host.
        """
        status, text, there, target = self._read(path)
        if status == HTTPStatus.NOT_FOUND and self.sender.address.may_be_bare:
            versioned, self.sender.address = self.sender.address, self.sender.address.bare()
            bare = self._read(path)
            if bare[0] != HTTPStatus.OK or _json(bare[1]) is None:
                self.sender.address = versioned
                return status, _json(text), None
            return bare[0], _json(bare[1]), f"its API has no /v1: {self._base()}"
        return status, _json(text), self._adopt(path, there, target)

    def _adopt(self, path: str, there: Address, target: str) -> str | None:
        here = self.sender.address
        base, asked = target.partition("?")[0].rstrip("/"), path.removeprefix("/v1")
        if not base.endswith(asked) or not here.trusts(there):
            return None
        api = base.removesuffix(asked)
        found = replace(parse_address(there.origin + api), api=api, query=here.query)
        if (found.origin, found.api) == (here.origin, here.api):
            return None
        self.sender.address = found
        return f"redirected to {self._base()}"

    def _base(self) -> str:
        return self.sender.address.origin + self.sender.address.api

    def _read(self, path: str, sent: object = None) -> tuple[int, str, Address, str]:
        method, asked = ("GET", b"") if sent is None else ("POST", json.dumps(sent).encode())
        try:
            with gevent.Timeout(_OWN_S, TimeoutError(f"no answer within {_OWN_S:g} s")):
                response, there, target = self.sender.send(method, path, asked, self._headers)
                body = response.read()
        except BROKEN as problem:
            raise EndpointDownError(f"{self.place(path)}: {problem!r}") from problem
        return response.status_code, bytes(body).decode(errors="replace"), there, target


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
