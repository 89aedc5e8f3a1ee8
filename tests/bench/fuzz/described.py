"""Bodies that an OpenAPI document describes, and bodies that just break it; by Schemathesis.

The document is made of vLLM's own request classes, for the routes on our allow-list. It is served
nowhere.
"""

import json
from collections.abc import Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from pydantic import TypeAdapter
from schemathesis import GenerationMode

from serve.http.allow import ROUTES
from tests.bench.fuzz.bodies import LIMITS
from tests.bench.fuzz.case import Case

_PER_BATCH = 50  # of one route and mode: making a strategy takes a second, an example 10 ms
_ANY = {"type": "object"}  # what we take ourselves: a body of any of the generation routes
_COMPONENTS = "#/components/schemas/"


def document() -> dict[str, Any]:
    """OpenAPI 3.1 of every POST route that does not take the service away."""
    from serve.engine.explain import PARSERS  # noqa: PLC0415 - vLLM: takes seconds

    paths, components = dict[str, Any](), dict[str, Any]()
    for route in ROUTES:
        if route.method != "POST" or route.path.endswith("/drain"):
            continue
        schema = _schema(PARSERS[route.path], components) if route.path in PARSERS else _ANY
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        answers = {"200": {"description": "answered"}}
        paths[route.path] = {"post": {"requestBody": body, "responses": answers}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sluice", "version": "1"},
        "paths": paths,
        "components": {"schemas": components},
    }


def described_cases(first_seed: int, model: str) -> Iterator[Case]:
    """Without end; each batch has a seed of its own, so the same seed gives the same cases."""
    schema = schemathesis.openapi.from_dict(document())
    operations = [found.ok() for found in schema.get_all_operations()]
    number = first_seed
    while True:
        for operation in operations:
            for mode in GenerationMode:
                number += 1
                strategy = operation.as_strategy(generation_mode=mode)
                yield from (_case(drawn, model) for drawn in _drawn(strategy, number))


def _drawn(strategy: Any, number: int) -> list[Any]:
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=_PER_BATCH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(case: Any) -> None:
        found.append(case)

    draw()
    return found


def _case(drawn: Any, model: str) -> Case:
    """As it goes over the wire, for the model that is there and with a limit to its answer."""
    body = drawn.body
    if isinstance(body, bytes):
        return Case("POST", drawn.path, body)
    if isinstance(body, dict):
        body = {**body, "model": model}
        limit = "max_output_tokens" if drawn.path == "/v1/responses" else "max_tokens"
        body |= dict.fromkeys(LIMITS & body.keys() | {limit}, 2)
    return Case("POST", drawn.path, json.dumps(body, default=str).encode(), limited=True)


def _schema(parser: TypeAdapter[Any], components: dict[str, Any]) -> dict[str, Any]:
    """Of one route; its definitions go into `components`."""
    schema = parser.json_schema(ref_template=_COMPONENTS + "{model}")
    components.update(schema.pop("$defs", {}))
    return schema
