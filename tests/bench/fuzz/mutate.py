"""From good bodies to bad ones: seeded, so that a number names the same request again."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.bench.fuzz.bodies import LIMITS, good_bodies
from tests.bench.fuzz.case import JSON_TYPE, Case
from tests.bench.fuzz.hard import (
    CONTENT_TYPES,
    FIELDS,
    HARD,
    HEADERS,
    NUMBERS,
    RAW_VALUES,
    STRINGS,
)

_RAW = "\ue000raw:"  # begins a text that stands for JSON which no Python value dumps to
_FEW_TOKENS = 16
Body = dict[str, Any]
_Place = tuple[Any, Any]  # a container and a key of it


class Mutator:
    """Draws cases from one seed."""

    def __init__(self, seed: int, model: str) -> None:
        self._rng = random.Random(seed)
        self._good = good_bodies(model)
        self._on_tree: list[Callable[[Body], None]] = [
            *[self._put_field] * 5,
            *[self._replace] * 4,
            self._delete,
            self._null,
            self._wrap,
            self._twice,
            self._text,
            self._number,
            self._raw_value,
            self._nest,
        ]

    def cases(self) -> Iterator[Case]:
        """Without end."""
        while True:
            yield self.case()

    def case(self) -> Case:
        """A good request with one to four things changed."""
        path, good = self._rng.choice(self._good)
        body = copy.deepcopy(good)
        for _ in range(self._rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
            self._rng.choice(self._on_tree)(body)
        text = _dumped(body)
        if self._rng.random() < 0.05:
            text = self._broken(text)
        case = Case("POST", path, text, limited=_limited(body))
        return self._headers(case) if self._rng.random() < 0.12 else case

    # -- on the tree -----------------------------------------------------------------------

    def _put_field(self, body: Body) -> None:
        name = self._rng.choice(sorted(FIELDS))
        body[name] = copy.deepcopy(self._rng.choice(FIELDS[name]))

    def _replace(self, body: Body) -> None:
        container, key = self._place(body)
        container[key] = copy.deepcopy(self._rng.choice(HARD))

    def _delete(self, body: Body) -> None:
        container, key = self._place(body)
        del container[key]

    def _null(self, body: Body) -> None:
        container, key = self._place(body)
        container[key] = None

    def _wrap(self, body: Body) -> None:
        container, key = self._place(body)
        value = container[key]
        container[key] = self._rng.choice(([value], {"a": value}, {str(key): value}, str(value)))

    def _twice(self, body: Body) -> None:
        container, key = self._place(body)
        value = container[key]
        if isinstance(value, list | str):
            container[key] = value * self._rng.choice((2, 2, 3, 50))

    def _text(self, body: Body) -> None:
        container, key = self._place(body)
        value = container[key]
        hard = self._rng.choice(STRINGS)
        if isinstance(value, str):
            at = self._rng.randint(0, len(value))
            container[key] = value[:at] + hard + value[at:]
        elif isinstance(value, dict):
            value[hard] = self._rng.choice(HARD)

    def _number(self, body: Body) -> None:
        container, key = self._place(body)
        container[key] = self._rng.choice(NUMBERS)

    def _raw_value(self, body: Body) -> None:
        container, key = self._place(body)
        container[key] = _RAW + self._rng.choice(RAW_VALUES)

    def _nest(self, body: Body) -> None:
        container, key = self._place(body)
        value = container[key]
        for _ in range(self._rng.choice((3, 30, 70, 300))):
            value = [value] if self._rng.random() < 0.5 else {"a": value}
        container[key] = value

    def _place(self, body: Body) -> _Place:
        """Any value of the body; those deep inside as likely as those above."""
        places = list(_places(body)) or [({"": None}, "")]
        return self._rng.choice(places)

    # -- on the text -----------------------------------------------------------------------

    def _broken(self, text: bytes) -> bytes:
        at = self._rng.randint(0, len(text))
        ways: list[Callable[[], bytes]] = [
            lambda: text[:at],
            lambda: text[:at] + bytes([self._rng.randrange(256)]) + text[at:],
            lambda: text[:at] + b"\xff\xfe" + text[at:],
            lambda: text[:at] + b"\x00" + text[at:],
            lambda: text + text,
            lambda: b"\xef\xbb\xbf" + text,
            lambda: text.decode().encode("utf-16"),
            lambda: text.decode().encode("utf-32-le"),
            lambda: b'{"model": "x", "model": null, ' + text[1:],
            lambda: text[:-1] + b', "stream": true, "stream": false, "n": 1, "n": 2}',
            lambda: b"[" + text + b"]",
            lambda: b"[" * 100_000,
            lambda: b'{"a":' * 5000 + b"1" + b"}" * 5000,
            lambda: b"",
            lambda: b"null",
            lambda: text[:-1] + b', "pad": "' + b"x" * 2_000_000 + b'"}',
        ]
        return self._rng.choice(ways)()

    def _headers(self, case: Case) -> Case:
        kind = self._rng.random()
        if kind < 0.2:
            return replace(case, headers=(("content-type", self._rng.choice(CONTENT_TYPES)),))
        if kind < 0.25:
            return replace(case, headers=())
        if kind < 0.35:
            return replace(case, headers=(*JSON_TYPE, ("transfer-encoding", "chunked")))
        if kind < 0.4:
            length = self._rng.randint(0, len(case.body))
            return replace(case, headers=(*JSON_TYPE, ("content-length", str(length))))
        chosen = self._rng.sample(HEADERS, self._rng.choice((1, 1, 2, 3)))
        return replace(case, headers=(*JSON_TYPE, *chosen))


def _places(value: Any) -> Iterator[_Place]:
    """Every container and key below `value`, `value` itself left out; no recursion."""
    level = [value]
    while level:
        inner = []
        for outer in level:
            keys = list(outer) if isinstance(outer, dict) else range(len(outer))
            for key in keys:
                yield outer, key
                if isinstance(outer[key], dict | list):
                    inner.append(outer[key])
        level = inner


def _dumped(body: Body) -> bytes:
    text = json.dumps(body)
    mark = json.dumps(_RAW)[1:-1]
    pieces = text.split(f'"{mark}')
    whole = [pieces[0]]
    for piece in pieces[1:]:
        raw, quote, rest = _split_text(piece)
        whole += [json.loads(f'"{raw}"'), rest] if quote else [raw]
    return "".join(whole).encode("utf-8", "surrogatepass")


def _split_text(piece: str) -> tuple[str, str, str]:
    """Up to the quotation mark that ends the JSON text, which is no escaped one."""
    at = 0
    while at < len(piece) and piece[at] != '"':
        at += 2 if piece[at] == "\\" else 1
    return piece[:at], piece[at : at + 1], piece[at + 1 :]


def _limited(body: Body) -> bool:
    given = [body[name] for name in LIMITS if name in body]
    return any(type(value) is int and 0 < value <= _FEW_TOKENS for value in given)
