"""Where an endpoint is: what a user pastes as its URL, and the target of each request there. Pure.

A base path holds for every request. A path that ends in a version is the API's own, as SDKs take
their `base_url`; without one `/v1` belongs to it.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urljoin, urlsplit

_VERSION = re.compile(r"/v\d+\w*$")
_PORTS = {"http": 80, "https": 443}
_V1 = "/v1"


@dataclass(frozen=True, slots=True)
class Address:
    """`root` = path of what is no API, e.g. metrics; `api` = path of the API, with its version."""

    scheme: str
    host: str  # IPv6 in brackets
    port: int
    root: str = ""
    api: str = _V1
    query: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a connection is to."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def may_be_bare(self) -> bool:
        """Whether the pasted path may be the API's own without a version; `/v1` is a guess then."""
        return self.api == self.root + _V1

    def target(self, path: str) -> str:
        """Path and query of a request; `/v1/...` is below the API's path, others below the root."""
        below = (
            self.api + path.removeprefix(_V1) if path.startswith(_V1 + "/") else self.root + path
        )
        return f"{below}?{self.query}" if self.query else below

    def bare(self) -> "Address":
        """The same where the pasted path is the API's own, without any version."""
        return replace(self, api=self.root)

    def trusts(self, other: "Address") -> bool:
        """Whether a key given for this may go there: the same origin, or its encrypted twin."""
        if self.host != other.host:
            return False
        upgraded = (self.scheme, self.port, other.scheme, other.port) == ("http", 80, "https", 443)
        return upgraded or self.origin == other.origin

    def moved(self, asked: str, location: str) -> "tuple[Address, str]":
        """Where a redirect of the target `asked` leads: an address there, and the target.

        ValueError where that is no place for a request.
        """
        split = urlsplit(urljoin(self.origin + asked, location))
        there = _origin_of(split)
        return there, (split.path or "/") + (f"?{split.query}" if split.query else "")


def parse_address(url: str) -> Address:
    """Of what `--host` says; ValueError says what would be right."""
    split = urlsplit(url.strip())
    try:
        origin = _origin_of(split)
    except ValueError as problem:
        raise ValueError(f"{url!r} is no URL of an endpoint: give http://HOST:PORT") from problem
    path = split.path.rstrip("/")
    for route in ("/chat/completions", "/completions", "/models"):  # pasted with the route
        path = path.removesuffix(route)
    if path.endswith(_V1):
        return replace(origin, root=path.removesuffix(_V1), api=path, query=split.query)
    if version := _VERSION.search(path):
        return replace(origin, root=path[: version.start()], api=path, query=split.query)
    return replace(origin, root=path, api=path + _V1, query=split.query)


def _origin_of(split: SplitResult) -> Address:
    if split.scheme not in _PORTS or not split.hostname:
        raise ValueError("only http and https, with a host")
    host = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    return Address(split.scheme, host, split.port or _PORTS[split.scheme])
