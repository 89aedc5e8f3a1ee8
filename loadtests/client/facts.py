"""What a run must know of its endpoint before it starts: model, time scale, what a word costs."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from loadtests.asking.prompts import Dialect, Ending, Route, WordCost, text_of
from loadtests.client import models
from loadtests.client.api import Api, EndpointDownError
from loadtests.client.chunk import count

_NOT_ALLOWED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_DOWN = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
_STATE = "/v1/admission/state"
_FEW, _MANY = 16, 1016  # words; the difference is what a word costs, the rest is the template's


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """As the endpoint says. `time_scale` and `simulated` are 1 and False where it is no Sluice.

    `notes`: what its user should know of how it was found.
    """

    model: str
    max_model_len: int | None
    time_scale: float
    simulated: bool
    mode: str | None  # of admission; None = no Sluice
    config: str | None  # hash of the admission section
    cost: WordCost
    settings: Mapping[str, Any] = field(default_factory=dict)  # admission's, as in force
    engine: Mapping[str, Any] = field(default_factory=dict)  # its size, as admission knows it
    versions: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def dialect(self, route: Route, ending: Ending | None) -> Dialect:
        """How to speak to it; without an ending the engine's kind decides."""
        usual = Ending.SIMULATED if self.simulated else Ending.FREE
        return Dialect(self.model, route, ending or usual, self.cost)


def connect(url: str, key: str | None, model: str | None) -> tuple[Api, EndpointFacts]:
    """An endpoint, and what must be known of it; errors as `read_facts`, nothing left open."""
    api = Api(url, key=key)
    try:
        return api, read_facts(api, model)
    except BaseException:
        api.close()
        raise


def read_facts(api: Api, model: str | None = None) -> EndpointFacts:
    """Asks the endpoint; EndpointDownError where it does not serve a model.

    ValueError where `model` must be said, or the key is not allowed to see the state of a Sluice.
    """
    entry, notes = _model(api, model)
    name = models.name_of(entry)
    versions = _versions(api)
    state = _first_state(api, versions)
    return EndpointFacts(
        model=name,
        max_model_len=models.context_of(entry),
        time_scale=float(state.get("time_scale", 1.0)),
        simulated="simulation" in state,
        mode=state.get("mode"),
        config=state.get("config"),
        cost=_word_cost(api, name),
        settings=state.get("settings", {}),
        engine=state.get("engine", {}),
        versions=versions,
        notes=tuple(notes),
    )


def _versions(api: Api) -> Mapping[str, Any]:
    """Of vLLM and of the gateway; empty where they are not told."""
    status, answer = api.ask_optional("/version")
    return answer if status == HTTPStatus.OK and isinstance(answer, dict) else {}


def _model(api: Api, wanted: str | None) -> tuple[Mapping[str, Any], list[str]]:
    """The model's entry, and what is to be said of how it was found."""
    status, answer, note = api.find("/v1/models")
    notes = [note] if note else []
    place = f"{api.place('/v1/models')}: status {status}"
    entries = models.listed(answer) if status == HTTPStatus.OK else []
    if status in _DOWN or (wanted is None and status >= HTTPStatus.INTERNAL_SERVER_ERROR):
        raise EndpointDownError(f"{place}, and no model in the answer")
    entry = models.chosen(entries, wanted)
    if wanted is not None:
        if entry is None and entries:
            notes.append(f"model {wanted!r} is not in the endpoint's list")
        return entry or {"id": wanted}, notes
    if entry is not None:
        return entry, notes
    if status in _NOT_ALLOWED:
        raise ValueError(f"{place}; give the endpoint's key with --api-key")
    if status == HTTPStatus.OK and isinstance(answer, dict | list):
        raise EndpointDownError(f"{place}, and no model in the answer")
    raise ValueError(f"{place}: it has no list of models; say which with --model")


def _first_state(api: Api, versions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of admission; where there is none, none is asked for again."""
    status, answer = api.ask_optional(_STATE)
    if status in _NOT_ALLOWED and "sluice" in versions:
        raise _hidden(api, status)
    state = answer if status == HTTPStatus.OK and _is_state(answer) else {}
    api.has_state = bool(state)
    return state


def read_state(api: Api) -> Mapping[str, Any]:
    """Of admission; empty where there is none.

    ValueError for who may not see it, and would take modelled seconds for real ones.
    """
    if not api.has_state:
        return {}
    status, answer = api.ask(_STATE)
    if status in _NOT_ALLOWED:
        raise _hidden(api, status)
    return answer if status == HTTPStatus.OK and _is_state(answer) else {}


def _is_state(answer: object) -> bool:
    """Some endpoints have an answer for every path."""
    if not isinstance(answer, dict):
        return False
    scale = answer.get("time_scale", 1.0)
    return "mode" in answer and isinstance(scale, int | float) and scale > 0


def _hidden(api: Api, status: int) -> ValueError:
    return ValueError(
        f"{api.place(_STATE)}: status {status}; its time_scale must be known,"
        " give an administrator's --api-key"
    )


def _word_cost(api: Api, model: str) -> WordCost:
    """Measured with the endpoint's own tokenizer and template; one token a word without it."""
    rng = random.Random(0)  # noqa: S311 - a workload, no secret
    few, many = (_tokens(api, model, text_of(words, rng)) for words in (_FEW, _MANY))
    if few is None or many is None or few >= many:
        return WordCost()
    per_word = (many - few) / (_MANY - _FEW)
    return WordCost(per_word, few - per_word * _FEW)


def _tokens(api: Api, model: str, text: str) -> int | None:
    messages = [{"role": "user", "content": text}]
    status, answer = api.ask_optional("/tokenize", {"model": model, "messages": messages})
    if status != HTTPStatus.OK or not isinstance(answer, dict):
        return None
    return count(answer.get("count"))
