"""What every client program is asked, and what counts as right; one JSON line per case.

A program is run as `PROGRAM URL MODEL KEY` by the Python of another environment, so this file needs
nothing but the standard library. It registers a function per case, whose result is judged here.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

URL, MODEL, KEY = sys.argv[1:4]
WRONG_KEY = "sk-wrong"
QUESTION = "What is the weather in Rome tomorrow?"
STORY = "Tell me a long story about a river."
TOKENS = 8  # of a plain answer
FORM_TOKENS = 200  # of a tool call, or of an answer in a form
ENDLESS_TOKENS = 1000  # of an answer that is left
LEFT_AFTER = 3  # pieces of it
HOPELESS = {"x-slo-ttft-ms": "1"}  # no first token comes so early: 429 ttft_slo
RETRIES = 1
TIMEOUT_S = 120.0
CITIES = "Paris", "Rome"
# no `strict`, no `additionalProperties`: as most clients send tools
FORECAST: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": list(CITIES)}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}

_CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    """Registers `function` under its own name, which is a key of `_RIGHT`."""
    _CASES[function.__name__] = function
    return function


def raised(kind: type[BaseException], call: Callable[[], Any], status: int | None = None) -> str:
    """The name of the exception that `call` raises, and its HTTP status if one is asked for."""
    try:
        answer = call()
    except kind as error:
        told = getattr(error, "status_code", None)
        if status is not None and told != status:
            raise AssertionError(f"status {told} instead of {status}") from error
        return type(error).__name__ if status is None else f"{type(error).__name__} {status}"
    raise AssertionError(f"no {kind.__name__}, but {answer!r}")


def parsed(arguments: str) -> Any:
    """Of a tool call; an error repeats the text."""
    try:
        return json.loads(arguments)
    except ValueError as error:
        raise ValueError(f"no JSON: {arguments!r}") from error


def leave(pieces: Any) -> int:
    """Reads the first pieces of a stream and no more; how many."""
    for count, _ in enumerate(pieces, 1):
        if count == LEFT_AFTER:
            return count
    raise AssertionError("the stream ended by itself")


def run() -> None:
    """Runs all cases, each whatever became of the others."""
    for name, function in _CASES.items():
        try:
            came = function()
            ok = _RIGHT[name](came)
        except Exception as error:  # noqa: BLE001 - whatever a client raises is what came
            came, ok = f"{type(error).__name__}: {error}", False
        print(json.dumps({"case": name, "ok": ok, "came": came}, default=str), flush=True)


def _is_forecast(came: Any) -> bool:
    return came["city"] in CITIES and type(came["days"]) is int


def _is_text(came: Any) -> bool:
    return isinstance(came, str) and bool(came.strip())


_RIGHT: dict[str, Callable[[Any], bool]] = {
    "plain": _is_text,
    "stream": lambda pieces: len(pieces) > 1 and _is_text("".join(pieces)),
    "usage": lambda tokens: tokens == TOKENS,  # output tokens that the end of a stream tells
    "tool": _is_forecast,
    "structured": _is_forecast,
    "refused": _is_text,  # the exception's name, after RETRIES that waited as told
    "wrong_key": _is_text,
    "abort": lambda pieces: pieces == LEFT_AFTER,  # that the gateway noticed is seen in its log
}
