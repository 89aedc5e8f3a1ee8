"""Why nothing answers at a URL: one sentence and what to do, whichever library found out."""

import socket
import ssl
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def no_answer(url: str, problem: BaseException) -> str:
    """The sentence for what a connection to `url` ended with."""
    causes = list(_causes(problem))
    place = _place(url)
    if _any(causes, ConnectionRefusedError):
        return f"nothing listens on {place}: is it started, and is this its port?"
    if _any(causes, socket.gaierror):
        return f"no host is called {urlsplit(url).hostname}: look at the URL, {url}"
    if _any(causes, TimeoutError):
        return f"{place} does not answer in time: is it busy, or a firewall between?"
    if _any(causes, ssl.SSLError):
        return f"{place} does not speak TLS as asked: is it http:// in place of https://?"
    if _any(causes, ConnectionError):
        return f"{place} hangs up without an answer: does it speak HTTP, and without TLS?"
    if _any(causes, OSError):
        told = next(x for x in causes if isinstance(x, OSError))
        return f"{place} cannot be reached: {told.strerror or told}"
    told_by = causes[0]
    return f"{place} does not answer as HTTP: {str(told_by) or type(told_by).__name__}"


def _causes(problem: BaseException) -> "list[BaseException]":
    """The exception, what it carries as the system's own, and what it was raised from."""
    found: list[BaseException] = []
    todo: list[BaseException | None] = [problem]
    while todo:
        now = todo.pop(0)
        if now is not None and now not in found:
            found.append(now)
            todo += [getattr(now, "os_error", None), now.__cause__]
    return found


def _any(causes: "list[BaseException]", kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes)


def _place(url: str) -> str:
    """Host and port; the URL itself where it has none."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme, 80)
    except ValueError:
        return url
    return f"{parts.hostname}:{port}" if parts.hostname else url
