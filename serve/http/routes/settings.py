"""Our routes that change a running gateway: its admission settings and its API keys."""

import json
import re
from typing import Any

from serve.http.operations_like import OperationsLike
from serve.http.problems import Problem, error
from serve.http.routes.exchange import Answer, OwnRequest, OwnResponse, json_response
from serve.profile.history import Via
from serve.profile.settings import AdmissionSection, ProfileError, parse_admission
from serve.visit import ApiFamily

_TAG = re.compile(r'(?:W/)?"[^"]*"')
_TAGS = re.compile(rf"{_TAG.pattern}(?:\s*,\s*{_TAG.pattern})*")
_SOURCE = "settings"  # the prefix of complaints about a body


class SettingsRoutes:
    """Answers for one replica; `FleetRoutes` asks all of them."""

    def __init__(self, operations: OperationsLike) -> None:
        self._operations = operations
        self.answers: dict[tuple[str, str], Answer] = {
            ("GET", "/v1/admission/settings"): self._settings,
            ("PUT", "/v1/admission/settings"): self._put,
            ("GET", "/v1/admission/settings/history"): self._history,
            ("POST", "/v1/admission/settings/rollback"): self._rollback,
            ("POST", "/v1/admission/keys/reload"): self._reload_keys,
        }

    async def _settings(self, _: OwnRequest) -> OwnResponse:
        section = self._operations.section
        return json_response(section.mapping(), etag=section.hash())

    async def _history(self, _: OwnRequest) -> OwnResponse:
        return json_response(self._operations.history(), etag=self._operations.section.hash())

    async def _put(self, question: OwnRequest) -> OwnResponse | Problem:
        try:
            section = parse_admission(_without_repeats(question.text), source=_SOURCE)
        except (ProfileError, ValueError) as fault:
            return error(400, str(fault), ApiFamily.OPENAI)
        return self._change(question, section, Via.PUT)

    async def _rollback(self, question: OwnRequest) -> OwnResponse | Problem:
        to = question.body.get("to")
        if question.body.keys() - {"to"} or not isinstance(to, str | None):
            message = 'Expected {"to": HASH} of the history, or nothing for the settings before.'
            return error(400, message, ApiFamily.OPENAI)
        try:
            section = self._operations.earlier(to)
        except (ProfileError, ValueError) as fault:
            return error(400, str(fault), ApiFamily.OPENAI, param="to")
        return self._change(question, section, Via.ROLLBACK)

    def _change(
        self, question: OwnRequest, section: AdmissionSection, via: Via
    ) -> OwnResponse | Problem:
        """Checks and changes without an await in between."""
        problem = _precondition(question.if_match, self._operations.section)
        if problem is not None:
            return problem
        told = self._operations.change(section, via=via, by=question.tenant.name)
        return json_response(told, etag=told["hash"])

    async def _reload_keys(self, question: OwnRequest) -> OwnResponse | Problem:
        told = await self._operations.reload_keys(by=question.tenant.name)
        if told["refused"] is None:
            return json_response(told)
        return error(409, told["refused"], ApiFamily.OPENAI, code="keys_refused")


def _precondition(if_match: str | None, section: AdmissionSection) -> Problem | None:
    """`If-Match` as in RFC 9110: a change names the settings that it replaces."""
    present = section.hash()
    if if_match is None:
        message = (
            f'Say which settings this replaces: `If-Match: "{present}"` for those in force now, '
            "`If-Match: *` for whatever is in force."
        )
        return _tagged(error(428, message, ApiFamily.OPENAI, param="if-match"), present)
    if if_match.strip() == "*":
        return None
    if not _TAGS.fullmatch(if_match.strip()):
        message = f'If-Match must be * or a hash in double quotes, e.g. If-Match: "{present}".'
        return error(400, message, ApiFamily.OPENAI, param="if-match")
    if f'"{present}"' in _TAG.findall(if_match):  # a weak one (W/) never matches
        return None
    message = f"The settings changed meanwhile: in force are {present}. Look at them, then decide."
    return _tagged(error(412, message, ApiFamily.OPENAI, param="if-match"), present)


def _tagged(problem: Problem, present: str) -> Problem:
    tag = (b"etag", f'"{present}"'.encode())
    return Problem(problem.status, [*problem.headers, tag], problem.body)


def _without_repeats(text: bytes) -> Any:
    """The JSON in `text`; a repeated key is a mistake, as in a profile."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{_SOURCE}: {name}: is given twice")
        values[name] = value
    return values
