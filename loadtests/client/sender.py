"""Kept connections to an endpoint, and to where it sends on: redirects are followed."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPSocketPoolResponse

from loadtests.client.address import Address

_CONNECTIONS = 100_000  # an open loop must never wait for a free one; files are the real limit
_CONNECT_S = 10.0
_REDIRECTS_MOST = 5
_KEEP_METHOD = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)
_ONLY_GET = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER)
_SECRETS = ("authorization", "cookie", "api-key", "x-api-key")


class Sends(Protocol):
    """What a request goes out by."""

    def request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], /
    ) -> HTTPSocketPoolResponse:
        """The answer as soon as its head is there."""
        ...


class Sender:
    """Sends to an address; `address` may be replaced where it turns out to be another."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._clients: dict[str, HTTPClient] = {}

    def client(self, address: Address) -> HTTPClient:
        """The connections to an address."""
        if address.origin not in self._clients:
            self._clients[address.origin] = HTTPClient(
                address.host.strip("[]"),
                address.port,
                ssl=address.scheme == "https",
                concurrency=_CONNECTIONS,
                connection_timeout=_CONNECT_S,
                # A timer at each read costs 20 us a token. None is none, whatever its type says.
                network_timeout=None,  # type: ignore[arg-type]
            )
        return self._clients[address.origin]

    def close(self) -> None:
        """Gives the kept connections back."""
        for client in self._clients.values():
            client.close()

    def request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> HTTPSocketPoolResponse:
        """The first answer that is no redirect, or the last of too many."""
        return self.send(method, path, body, headers)[0]

    def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[HTTPSocketPoolResponse, Address, str]:
        """The answer, and the address and the target that it came from.

        307 and 308 keep method and body. 301 to 303 make a GET of a POST, which asks for nothing:
        they are followed where it was a GET. Keys are not sent to another host.
        """
        here, target = self.address, self.address.target(path)
        for _ in range(_REDIRECTS_MOST):
            sent = headers if self.address.trusts(here) else _without_secrets(headers)
            response = _request(self.client(here), method, target, body, sent)
            location = response.get("location")
            followed = (*_KEEP_METHOD, *_ONLY_GET) if method == "GET" else _KEEP_METHOD
            if response.status_code not in followed or not isinstance(location, str):
                return response, here, target
            try:
                here, target = here.moved(target, location)
            except ValueError:
                return response, here, target
            response.read()  # so that the connection can be kept
        return response, here, target


def _request(
    client: HTTPClient, method: str, target: str, body: bytes, headers: Mapping[str, str]
) -> HTTPSocketPoolResponse:
    """Over a kept connection where there is one; over another where its server has just closed it.

    A server may close a connection that it has answered on, and does so while the next request is
    on its way (RFC 9112, 9.3.1): no byte comes back, and nothing was asked of it. A new connection
    that is closed without a byte is a failed request.
    """
    while True:
        kept = client._connection_pool._socket_queue.qsize()  # noqa: SLF001 - tried in test_foreign
        try:
            return client.request(method, target, body, headers)
        except HTTPConnectionClosed:
            if not kept:
                raise


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _SECRETS}
