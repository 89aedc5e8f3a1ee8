"""What a run must know of its endpoint before it starts: model, time scale, what a word costs."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from loadtests.asking.prompts import Dialect, Ending, Route, WordCost, text_of
from loadtests.client.api import Api, EndpointDownError

_NOT_ALLOWED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_FEW, _MANY = 16, 1016  # words; the difference is what a word costs, the rest is the template's


@dataclass(frozen=True, slots=True)
class Facts:
    """As the endpoint says. `time_scale` and `simulated` are 1 and False where it is no Sluice."""

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

    def dialect(self, route: Route, ending: Ending | None) -> Dialect:
        """How to speak to it; without an ending the engine's kind decides."""
        usual = Ending.SIMULATED if self.simulated else Ending.FREE
        return Dialect(self.model, route, ending or usual, self.cost)


def read_facts(api: Api) -> Facts:
    """Asks the endpoint; EndpointDownError where it does not serve a model.

    ValueError where the key is not allowed to see the state.
    """
    model = _model(api)
    state = read_state(api)
    return Facts(
        model=str(model["id"]),
        max_model_len=model.get("max_model_len"),
        time_scale=float(state.get("time_scale", 1.0)),
        simulated="simulation" in state,
        mode=state.get("mode"),
        config=state.get("config"),
        cost=_word_cost(api, str(model["id"])),
        settings=state.get("settings", {}),
        engine=state.get("engine", {}),
        versions=_versions(api),
    )


def _versions(api: Api) -> Mapping[str, Any]:
    """Of vLLM and of the gateway; empty where they are not told."""
    status, answer = api.ask("/version")
    return answer if status == HTTPStatus.OK and isinstance(answer, dict) else {}


def _model(api: Api) -> Mapping[str, Any]:
    status, answer = api.ask("/v1/models")
    models = answer.get("data") if isinstance(answer, dict) else None
    if status != HTTPStatus.OK or not models:
        raise EndpointDownError(f"{api.url}/v1/models: status {status}, and no model in the answer")
    first: Mapping[str, Any] = models[0]
    return first


def read_state(api: Api) -> Mapping[str, Any]:
    """Of admission; empty where there is none.

    ValueError for who may not see it, and would take modelled seconds for real ones.
    """
    status, answer = api.ask("/v1/admission/state")
    if status in _NOT_ALLOWED:
        raise ValueError(
            f"{api.url}/v1/admission/state: status {status}; its time_scale must be known,"
            " give an administrator's --api-key"
        )
    return answer if status == HTTPStatus.OK and isinstance(answer, dict) else {}


def _word_cost(api: Api, model: str) -> WordCost:
    """Measured with the endpoint's own tokenizer and template; one token a word without it."""
    rng = random.Random(0)  # noqa: S311 - a workload, no secret
    few, many = (_tokens(api, model, text_of(words, rng)) for words in (_FEW, _MANY))
    if few is None or many is None:
        return WordCost()
    per_word = (many - few) / (_MANY - _FEW)
    return WordCost(per_word, few - per_word * _FEW)


def _tokens(api: Api, model: str, text: str) -> int | None:
    messages = [{"role": "user", "content": text}]
    status, answer = api.ask("/tokenize", {"model": model, "messages": messages})
    if status != HTTPStatus.OK or not isinstance(answer, dict):
        return None
    count = answer.get("count")
    return count if isinstance(count, int) else None
