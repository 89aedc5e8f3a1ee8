"""Corrects five things in the HAProxy configuration that Ray Serve writes; pure text.

- `option splice-request` beside `option abortonclose`: when the body of a request comes in a packet
  of its own, as from every SDK, HAProxy does not notice a disconnect, and spins on a core until the
  answer is complete. Without splicing it notices.
- Statistics and metrics listen on all interfaces, whatever the gateway's host.
- HAProxy's own 502, 503 and 504 (a replica that has just ended) become a 500 in plain text, which
  clients take for a mistake in their request. Its other errors are HTML. Each becomes JSON.
- A HAProxy that knows no application yet answers 404 in plain text, which clients do not retry.
- Of several replicas, one that drains, has lost its engine or ends before the first byte of its
  answer costs a second choice and no error: the request goes to another. HAProxy sends again what
  is whole in its buffer, which is made larger for that: requests of up to `RESENT_BYTES`.
"""

import re
from http import HTTPStatus
from pathlib import Path

from serve.http.problems import Problem, error
from serve.http.server.no_replica import no_replica
from serve.visit import ApiFamily

_BACKEND = re.compile(r"^\s*use_backend ", re.MULTILINE)  # names an application
_SERVER = re.compile(r"^[ \t]*server (?!.* backup\b)", re.MULTILINE)
_BUFFER_BYTES = 65_536
RESENT_BYTES = _BUFFER_BYTES - 4_096  # HAProxy keeps some of it for headers that it adds
_UNANSWERED = (502, 503, 504)  # no answer from a replica: it ended, or there is none
# Errors that HAProxy answers itself, by status, as listed in the manual of 2.8. The latter need a
# rule that denies, and Ray's configuration has none.
_REFUSED = "The gateway's HAProxy refused the request."
_WORDS = {
    400: "The request is not valid HTTP, its headers are larger than 16 KiB, or its sender closed "
    "the sending half of its connection before the answer began.",
    404: "No application of this gateway serves this path.",
    408: "The request did not arrive completely in time.",
    413: "The request is too large.",
    500: "The gateway's HAProxy failed to process the request.",
    501: "The gateway's HAProxy does not support this request.",
} | dict.fromkeys((401, 403, 405, 407, 410, 425, 429), _REFUSED)

# The patterns to replace, by name; a test requires each of them in Ray's rendered template.
REWRITTEN = {
    "splicing": re.compile(r"^[ \t]*option splice-\w+\n", re.MULTILINE),
    "interfaces": re.compile(
        r"^(?P<front>(?:frontend prometheus|listen stats)\n\s*bind )\*?:(?P<port>\d+)$",
        re.MULTILINE,
    ),
    "error pages": re.compile(r"(?:^[ \t]*errorfile \d+ \S+\n)+", re.MULTILINE),
    "retries": re.compile(r"^(?P<front>[ \t]*retry-on )conn-failure$", re.MULTILINE),
    "buffer": re.compile(r"^(?P<front>[ \t]*tune\.bufsize )\d+$", re.MULTILINE),
    "admin socket": re.compile(r"^(?P<front>[ \t]*stats socket )(?P<path>\S+)", re.MULTILINE),
    "unknown path": re.compile(
        r"^(?P<front>backend default_backend\n[ \t]*)http-request return status 404 .*$",
        re.MULTILINE,
    ),
}


def mended(configuration: str, pages: Path) -> str:
    """The corrected configuration; `pages` is the folder of `write_error_pages`."""
    unknown = 404 if has_backend(configuration) else 503
    for name, instead in (
        ("splicing", ""),
        ("interfaces", r"\g<front>127.0.0.1:\g<port>"),
        ("error pages", "".join(f"    errorfile {s} {_page(pages, s)}\n" for s in statuses())),
        ("unknown path", rf"\g<front>http-request deny deny_status {unknown}"),
    ):
        configuration = REWRITTEN[name].sub(instead, configuration)
    return _sent_again(configuration) if len(_SERVER.findall(configuration)) > 1 else configuration


def _sent_again(configuration: str) -> str:
    """To another replica: what got no byte, or 503, which ours answer before they begin anything.

    HAProxy waits for the body first: of a request that comes in two packets it would otherwise
    keep nothing to send again. With one replica the same one would be asked four times.
    """
    again = r"    option http-buffer-request\n\g<front>conn-failure empty-response 503"
    configuration = REWRITTEN["retries"].sub(again, configuration)
    return REWRITTEN["buffer"].sub(rf"\g<front>{_BUFFER_BYTES}", configuration)


def has_backend(configuration: str) -> bool:
    """Whether it names an application; the first one of a new HAProxyManager does not."""
    return _BACKEND.search(configuration) is not None


def admin_socket(configuration: str) -> Path | None:
    """The socket for HAProxy's manager, which also hands the listening sockets to a successor."""
    found = REWRITTEN["admin socket"].search(configuration)
    return None if found is None else Path(found["path"])


def with_admin_socket(configuration: str, path: Path) -> str:
    """The same configuration with another admin socket."""
    return REWRITTEN["admin socket"].sub(rf"\g<front>{path}", configuration)


def statuses() -> list[int]:
    """Every status that HAProxy can answer by itself as an error."""
    return [*_WORDS, *_UNANSWERED]


def write_error_pages(pages: Path) -> None:
    """Writes a complete HTTP answer for each of `statuses` into the folder `pages`."""
    for status in statuses():
        _page(pages, status).write_bytes(error_page(status))


def error_page(status: int) -> bytes:
    """HAProxy's answer for its own error `status`, in OpenAI's shape."""
    if status in _UNANSWERED:
        problem = no_replica("/v1/chat/completions")
    else:
        problem = error(status, _WORDS[status], ApiFamily.OPENAI)
    return _whole(problem)


def _whole(problem: Problem) -> bytes:
    length = str(len(problem.body)).encode()
    headers = [*problem.headers, (b"content-length", length), (b"connection", b"close")]
    status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()
    return b"\r\n".join([status, *(b": ".join(header) for header in headers), b"", problem.body])


def _page(pages: Path, status: int) -> Path:
    return pages / f"error-{status}.http"
