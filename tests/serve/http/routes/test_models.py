"""The models that are served, to OpenAI's clients and to Anthropic's."""

import pytest

from tests.fakes import house, model_entry

ANTHROPIC = {"anthropic-version": "2023-06-01"}


async def test_openai_s_clients_get_vllm_s_entries() -> None:
    done = await house().ask("/v1/models", method="GET")
    entries = [model_entry("m"), model_entry("org/name")]
    assert done.answer_json == {"object": "list", "data": entries}


@pytest.mark.parametrize(
    "path", ["/v1/models/m", "/v1/models/m/", "/v1/models/org/name", "/v1//models//org//name"]
)
async def test_one_model_is_its_entry_of_the_list(path: str) -> None:
    done = await house().ask(path, method="GET")
    name = "m" if path.rstrip("/").endswith("m") else "org/name"
    assert done.answer_json == model_entry(name)


@pytest.mark.parametrize("name", ["nope", "M", "org", "org/name/more", "name"])
async def test_an_unknown_model_is_a_404_in_the_callers_shape(name: str) -> None:
    at = house()
    done = await at.ask(f"/v1/models/{name}", method="GET")
    assert done.status == 404
    assert done.answer_json["error"]["code"] == "model_not_found"
    assert done.answer_json["error"]["param"] == "model"
    done = await at.ask(f"/v1/models/{name}", method="GET", headers=ANTHROPIC)
    assert done.status == 404
    assert done.answer_json["type"] == "error"
    assert done.answer_json["error"]["type"] == "not_found_error"


async def test_anthropic_s_clients_get_its_shape() -> None:
    at = house()
    told = (await at.ask("/v1/models", method="GET", headers=ANTHROPIC)).answer_json
    one = (await at.ask("/v1/models/m", method="GET", headers=ANTHROPIC)).answer_json
    assert told["data"][0] == one
    assert one == {
        "type": "model",
        "id": "m",
        "display_name": "m",
        "created_at": "2023-11-14T22:13:20Z",
        "max_input_tokens": 4096,
    }
    ends = (told["has_more"], told["first_id"], told["last_id"])
    assert ends == (False, "m", "org/name")
