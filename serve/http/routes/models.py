"""`/v1/models`: the served models in OpenAI's and in Anthropic's shape."""

from datetime import UTC, datetime
from typing import Any

from serve.http.allow import model_in
from serve.http.gate_like import GateLike
from serve.http.problems import Problem, error
from serve.http.routes.exchange import Answer, OwnRequest, OwnResponse, json_response
from serve.visit import ApiFamily


class ModelRoutes:
    """Converts vLLM's list, which is in OpenAI's shape only."""

    def __init__(self, gate: GateLike) -> None:
        self._gate = gate
        self.answers: dict[tuple[str, str], Answer] = {
            ("GET", "/v1/models"): self._all,
            ("GET", "/v1/models/{id}"): self._one,
        }

    async def _all(self, question: OwnRequest) -> OwnResponse:
        entries = await self._gate.models()
        if question.family is not ApiFamily.ANTHROPIC:
            return json_response({"object": "list", "data": entries})
        told = [_anthropic(entry) for entry in entries]
        ends = {"first_id": told[0]["id"], "last_id": told[-1]["id"]} if told else {}
        return json_response({"data": told, "has_more": False, **ends})

    async def _one(self, question: OwnRequest) -> OwnResponse | Problem:
        name = model_in(question.path)
        for entry in await self._gate.models():
            if entry["id"] == name:
                told = _anthropic(entry) if question.family is ApiFamily.ANTHROPIC else entry
                return json_response(told)
        message = f"The model `{name}` does not exist."
        return error(404, message, question.family, code="model_not_found", param="model")


def _anthropic(entry: dict[str, Any]) -> dict[str, Any]:
    created = datetime.fromtimestamp(entry["created"], UTC)
    return {
        "type": "model",
        "id": entry["id"],
        "display_name": entry["id"],
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "max_input_tokens": entry["max_model_len"],
    }
