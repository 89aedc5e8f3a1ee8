"""Applies the profile's `access.rules`: priority and tenant by more than the API key."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from admission.terms.decision import Priority
from serve.profile.access_section import RuleSection
from serve.visit import Tenant

_RANK = {priority: rank for rank, priority in enumerate(Priority)}  # a higher one is served later
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_NAME_CHARS = 64
_DIGEST_CHARS = 8
# Tenants that headers may name in the life of a gateway: each has counters of its own. Requests
# with further names count for their key's tenant.
NAMED_MAX = 10_000


class Rules:
    """Applies every matching rule, in the profile's order; the first tenant wins."""

    def __init__(self, rules: Mapping[str, RuleSection]) -> None:
        self._rules = dict(rules)
        self._named: set[str] = set()

    def apply(
        self, tenant: Tenant, headers: Mapping[str, str], body: Mapping[str, Any]
    ) -> tuple[Tenant, tuple[str, ...]]:
        """The tenant that a request counts for, and the names of the rules that matched.

        `headers` by lower-case name; rules about bodies do not match an empty body.
        """
        if not self._rules:
            return tenant, ()
        told, fitting = tenant, []
        for name, rule in self._rules.items():
            if not _fits(rule, tenant.name, headers, body):
                continue
            fitting.append(name)
            told = replace(told, priority=_lower(told.priority, rule.priority))
            if told.name == tenant.name and rule.tenant_header is not None:
                told = replace(told, name=self._below(tenant.name, headers, rule.tenant_header))
        return told, tuple(fitting)

    def _below(self, key_s: str, headers: Mapping[str, str], header: str) -> str:
        value = headers.get(header.lower(), "").strip()
        if not value:
            return key_s
        name = f"{key_s}/{_as_name(value)}"
        if name not in self._named:
            if len(self._named) >= NAMED_MAX:
                return key_s
            self._named.add(name)
        return name


def _fits(
    rule: RuleSection, tenant: str, headers: Mapping[str, str], body: Mapping[str, Any]
) -> bool:
    if rule.keys and tenant not in rule.keys:
        return False
    if rule.header is not None:
        value = headers.get(rule.header.lower())
        if value is None or rule.header_value not in (None, value.strip()):
            return False
    if rule.metadata:
        told = body.get("metadata")
        if not isinstance(told, dict) or not rule.metadata.items() <= _texts(told):
            return False
    return rule.prompt_begins is None or _prompt(body).startswith(rule.prompt_begins)


def _texts(told: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(name, value) for name, value in told.items() if isinstance(value, str)}


def _lower(one: Priority, other: str | None) -> Priority:
    return one if other is None else max(one, Priority(other), key=_RANK.__getitem__)


def _as_name(value: str) -> str:
    """`value` as part of a tenant's name; a digest keeps changed values apart."""
    name = _NOT_IN_NAMES.sub("_", value)
    if name == value and len(name) <= _NAME_CHARS:
        return name
    digest = hashlib.sha256(value.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{name[: _NAME_CHARS - _DIGEST_CHARS - 1]}-{digest}"


def _prompt(body: Mapping[str, Any]) -> str:
    """The text of the prompt, or of the user's last message, without leading whitespace."""
    told = body.get("messages", body.get("input", body.get("prompt")))
    if isinstance(told, list):
        told = _of_user(told)
    return told.lstrip() if isinstance(told, str) else ""


def _of_user(messages: Iterable[Any]) -> Any:
    last: Any = None
    for message in messages:
        if isinstance(message, str):  # one of several prompts
            last = last or message
        elif isinstance(message, dict) and message.get("role") == "user":
            last = message.get("content")
    if isinstance(last, list):
        texts = (part.get("text") for part in last if isinstance(part, dict))
        last = next((text for text in texts if isinstance(text, str)), None)
    return last
