"""An operator's connection to a running gateway."""

import argparse
import http.client
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

from serve.commands.no_answer import no_answer
from serve.exits import Exit
from serve.profile.settings import ProfileError

_TIMEOUT_S = 30.0
_CALLERS_FAULT = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_REFUSALS = (
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.PRECONDITION_REQUIRED,
)


class AnswerError(Exception):
    """No answer, or an error; the text is for people, `code` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def checked_url(url: str) -> SplitResult:
    """The parts of `--url`; ValueError if it is no URL."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # an invalid port, half an IPv6 address
        good = False
    if not good:
        raise ValueError(f"--url {url!r} is no URL: give one as http://127.0.0.1:8000")
    return parts


class Document(dict[str, Any]):
    """A JSON object; a missing key means that no gateway of this version has answered."""

    def __missing__(self, key: str) -> Any:
        """Raises AnswerError."""
        raise AnswerError(
            f"no Sluice gateway of this version: its answer has no {key!r}", Exit.DOWN
        )


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """A successful answer of the gateway."""

    document: Document
    etag: str  # with its quotes; empty if there is none


class Endpoint:
    """Uses plain `http.client`, so that proxy variables in the environment have no effect."""

    def __init__(self, url: str, key: str | None) -> None:
        parts = checked_url(url)
        self.url = url.rstrip("/")
        self._https = parts.scheme == "https"
        self._host, self._port = str(parts.hostname), parts.port
        self._base = parts.path.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def ask(
        self, method: str, path: str, document: object = None, *, if_match: str | None = None
    ) -> GatewayAnswer:
        """The answer if it is a success; otherwise raises AnswerError."""
        body = None if document is None else json.dumps(document)
        headers = {**self._headers, "Content-Type": "application/json"}
        if if_match is not None:
            headers["If-Match"] = if_match
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, self._base + path, body=body, headers=headers)
            answer = connection.getresponse()
            text, etag = answer.read(), answer.headers.get("etag", "")
        except (OSError, http.client.HTTPException) as fault:
            raise AnswerError(no_answer(self.url, fault), Exit.DOWN) from None
        finally:
            connection.close()
        return GatewayAnswer(self._good(answer.status, path, text), etag)

    def _good(self, status: int, path: str, text: bytes) -> Document:
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise AnswerError(
                f"{self.url} is no Sluice gateway: {path} answered {status}, and no JSON object",
                _exit_code(status),
            )
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return Document(document)
        fault = document.get("error")
        said = fault.get("message") if isinstance(fault, dict) else None
        raise AnswerError(said or f"{self.url}{path} answered {status}", _exit_code(status))


def by_replica(document: Document) -> dict[str, Document]:
    """Its part for each replica: a gateway of one answers without their names around it."""
    replicas = document.get("replicas")
    return replicas if isinstance(replicas, dict) else {document["replica"]: document}


def missing(document: Document) -> str | None:
    """A sentence about replicas that did not answer; None where all did."""
    told = document.get("missing")
    if not (isinstance(told, dict) and told["count"]):
        return None
    names = f" ({', '.join(told['replicas'])})" if told["replicas"] else ""
    return f"{told['count']} of the gateway's replicas did not answer{names}"


def run(
    command: str, args: argparse.Namespace, verb: Callable[[Endpoint, argparse.Namespace], int]
) -> int:
    """Calls `verb` with the endpoint; prints problems and returns the exit code."""
    key = (args.api_key or os.environ.get("SLUICE_API_KEY", "")).strip() or None
    try:
        return verb(Endpoint(args.url, key), args)
    except (ProfileError, ValueError) as problem:
        return _failed(command, problem, Exit.BAD_INPUT)
    except AnswerError as problem:
        return _failed(command, problem, problem.code)


def _failed(command: str, problem: Exception, code: int) -> int:
    sys.stderr.write(f"sluice {command}: {problem}\n")
    return code


def _exit_code(status: int) -> int:
    if status in _CALLERS_FAULT:
        return Exit.BAD_INPUT
    return Exit.NO if status in _REFUSALS else Exit.DOWN
