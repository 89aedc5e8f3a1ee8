"""What a request is by more than its key: rules of the profile."""

import hashlib
from typing import Any

import pytest
import yaml

from admission.terms.decision import Priority
from serve.access.tenants import KeyEntry, Keys
from serve.http.request import rules as rules_module
from serve.http.request.rules import Rules
from serve.profile.access_section import AccessSection, RuleSection
from serve.profile.settings import ProfileError, parse_profile
from serve.visit import Tenant
from tests.fakes import House, house

TASK = "### Task:\nGenerate a concise, 3-5 word title"  # as Open WebUI begins its own requests
PAGE, OTHER = Tenant("webui"), Tenant("team-a", Priority.LOW)
USER = "X-OpenWebUI-User-Id"


def chat(*texts: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts], **more}


def applied(
    tenant: Tenant, body: dict[str, Any], headers: dict[str, str] | None = None, **rule: Any
) -> Tenant:
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return Rules({"one": RuleSection(**rule)}).apply(tenant, lower, body)[0]


@pytest.mark.parametrize(
    "body",
    [
        chat(TASK),
        chat("before", TASK),
        chat("\n  " + TASK),
        chat([{"type": "text", "text": TASK}]),
        chat([{"type": "image_url", "image_url": {}}, {"type": "text", "text": TASK}]),
        {"prompt": TASK},
        {"prompt": [TASK, "another"]},
        {"input": TASK},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": TASK}]}]},
        {"messages": [{"role": "user", "content": TASK}, {"role": "assistant", "content": "{"}]},
    ],
)
def test_a_task_of_a_chat_page_is_known_by_how_its_prompt_begins(body: dict[str, Any]) -> None:
    assert applied(PAGE, body, prompt_begins="### Task:", priority="low").priority is Priority.LOW


@pytest.mark.parametrize(
    "body",
    [
        {},
        chat("Why does my page send ### Task: in its prompts?"),
        chat(TASK, "and now?"),
        chat(None),
        chat(7),
        {"messages": [None, "x", {"role": "user"}]},
        {"messages": [{"role": "system", "content": TASK}]},
        {"prompt": [1, 2, 3]},
        {"input": {"role": "user"}},
        {"messages": [{"role": "user", "content": [None, {"text": None}]}]},
    ],
)
def test_other_prompts_stay_what_they_are(body: dict[str, Any]) -> None:
    assert applied(PAGE, body, prompt_begins="### Task:", priority="low") == PAGE


@pytest.mark.parametrize(
    ("rule", "headers", "fits"),
    [
        ({"header": "X-Task"}, {"x-task": ""}, True),
        ({"header": "x-task"}, {"X-Task": "any"}, True),
        ({"header": "X-Task"}, {}, False),
        ({"header": "X-Task", "header_value": "title"}, {"X-Task": " title "}, True),
        ({"header": "X-Task", "header_value": "title"}, {"X-Task": "tags"}, False),
        ({"keys": ["webui"]}, {}, True),
        ({"keys": ["team-a"]}, {}, False),
        ({"keys": ["webui"], "header": "X-Task"}, {}, False),
    ],
)
def test_a_rule_fits_where_all_its_conditions_do(
    rule: dict[str, Any], headers: dict[str, str], fits: bool
) -> None:
    told = applied(PAGE, {}, headers, priority="low", **rule)
    assert (told.priority is Priority.LOW) is fits


@pytest.mark.parametrize(
    ("metadata", "fits"),
    [
        ({"task": "title_generation", "chat": "1"}, True),
        ({"task": "chat"}, False),
        ({"task": ["title_generation"]}, False),
        ("title_generation", False),
        (None, False),
    ],
)
def test_metadata_of_the_body_may_say_it(metadata: object, fits: bool) -> None:
    body = {"metadata": metadata}
    told = applied(PAGE, body, metadata={"task": "title_generation"}, priority="low")
    assert (told.priority is Priority.LOW) is fits


def test_no_rule_raises_a_class() -> None:
    assert applied(OTHER, {}, priority="normal").priority is Priority.LOW
    assert applied(Tenant("boss", Priority.HIGH), {}, priority="normal").priority == "normal"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("7a1c-22", "webui/7a1c-22"),
        ("  7a1c-22 ", "webui/7a1c-22"),
        ("", "webui"),
        ("ann@example.com", "webui/ann_example.com-"),
        ("a b", "webui/a_b-"),
        ("x" * 200, "webui/" + "x" * 55 + "-"),
    ],
)
def test_a_header_names_a_tenant_below_its_keys(value: str, name: str) -> None:
    told = applied(PAGE, {}, {USER: value}, keys=["webui"], tenant_header=USER)
    if name.endswith("-"):
        assert told.name == name + hashlib.sha256(value.encode()).hexdigest()[:8]
    else:
        assert told.name == name
    assert len(told.name) <= len("webui/") + 64


def test_whose_key_is_not_listed_cannot_name_another_tenant() -> None:
    told = applied(OTHER, {}, {USER: "7a1c"}, keys=["webui"], tenant_header=USER)
    assert told == OTHER


def test_users_that_sanitising_would_make_one_stay_two() -> None:
    names = {
        applied(PAGE, {}, {USER: value}, keys=["webui"], tenant_header=USER).name
        for value in ("a@b", "a_b", "a b")
    }
    assert len(names) == 3


def test_more_names_than_a_gateway_keeps_count_for_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules_module, "NAMED_MAX", 2)
    rules = Rules({"users": RuleSection(keys=["webui"], tenant_header=USER)})
    names = [rules.apply(PAGE, {USER.lower(): who}, {})[0].name for who in "abcab"]
    assert names == ["webui/a", "webui/b", "webui", "webui/a", "webui/b"]


def test_all_rules_that_fit_are_applied() -> None:
    rules = Rules(
        {
            "tasks": RuleSection(prompt_begins="### Task:", priority="low"),
            "never": RuleSection(header="x-no", priority="low"),
            "users": RuleSection(keys=["webui"], tenant_header=USER),
        }
    )
    told, fitting = rules.apply(PAGE, {USER.lower(): "ann"}, chat(TASK))
    assert told == Tenant("webui/ann", Priority.LOW)
    assert fitting == ("tasks", "users")


def page_s_house() -> House:
    access = AccessSection(
        rules={
            "tasks": RuleSection(keys=["webui"], prompt_begins="### Task:", priority="low"),
            "users": RuleSection(keys=["webui"], tenant_header=USER),
        }
    )
    digest = hashlib.sha256(b"page").hexdigest()
    return house(keys=Keys([KeyEntry(tenant="webui", key_sha256=digest)]), access=access)


async def test_the_gate_and_the_log_hear_of_what_a_rule_made() -> None:
    at = page_s_house()
    headers = {"x-api-key": "page", USER: "ann"}
    await at.ask(document=chat(TASK, model="m"), headers=headers)
    await at.ask(document=chat("hello", model="m"), headers=headers)
    visits = [visit for visit, _ in at.gate.prechecked]
    assert [v.tenant.priority for v in visits] == [Priority.LOW, Priority.NORMAL]
    assert [v.tenant.name for v in visits] == ["webui/ann"] * 2
    assert [(line["tenant"], line["priority"]) for line in at.log] == [
        ("webui/ann", "low"),
        ("webui/ann", "normal"),
    ]


async def test_explain_says_which_rules_fit() -> None:
    at = page_s_house()
    headers = {"x-api-key": "page", USER: "ann"}
    done = await at.ask("/v1/admission/explain", chat(TASK, model="m"), headers=headers)
    assert done.answer_json["rules"] == ["tasks", "users"]
    assert done.answer_json["tenant"] == "webui/ann"
    plain = await house().ask("/v1/admission/explain", chat("x", model="m"))
    assert "rules" not in plain.answer_json


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"header": "x"}, "changes nothing"),
        ({"priority": "high"}, "one of normal, low"),
        ({"tenant_header": "X-User"}, "needs keys"),
        ({"header_value": "v", "priority": "low"}, "header_value needs header"),
        ({"header": "X Task", "priority": "low"}, "name of a header"),
        ({"prompt": "x", "priority": "low"}, "prompt"),
    ],
)
def test_a_rule_that_says_nothing_useful_is_refused_by_name(
    rule: dict[str, Any], words: str
) -> None:
    profile = {"engine_args": {"model": "m"}, "access": {"rules": {"mine": rule}}}
    with pytest.raises(ProfileError, match=words) as refused:
        parse_profile(yaml.safe_dump(profile), source="p.yaml")
    assert "access.rules.mine" in str(refused.value)
