"""Settings, keys and drain of a gateway that serves, as an operator changes them over HTTP."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from serve.access.tenants import KeyEntry, Keys
from serve.profile.access_section import AccessSection
from serve.profile.settings import AdmissionSection, parse_admission
from tests.fakes import Exchange, House, house

SETTINGS, HISTORY = "/v1/admission/settings", "/v1/admission/settings/history"
ROLLBACK, KEYS_RELOAD = "/v1/admission/settings/rollback", "/v1/admission/keys/reload"
DEFAULT, OTHER = AdmissionSection(), parse_admission({"kv_headroom_ratio": 0.1})
PAGE = {"origin": "https://elsewhere.example"}


async def put(at: House, document: object, if_match: str | None = "*", **more: Any) -> Exchange:
    headers = {} if if_match is None else {"if-match": if_match}
    return await at.ask(SETTINGS, document, method="PUT", headers=headers, **more)


async def roll_back(at: House, document: object, if_match: str = "*") -> Exchange:
    raw = b"" if document is None else json.dumps(document).encode()
    return await at.ask(ROLLBACK, raw=raw, headers={"if-match": if_match})


def code_of(done: Exchange) -> tuple[int | None, str]:
    return done.status, done.answer_json["error"]["code"]


# -- settings ------------------------------------------------------------------------------


async def test_the_settings_in_force_come_with_their_hash() -> None:
    done = await house().ask(SETTINGS, method="GET")
    assert done.answer_json == DEFAULT.mapping()
    assert done.answer_headers["etag"] == f'"{DEFAULT.hash()}"'


async def test_a_put_says_what_it_changed_and_the_gate_has_it_at_once() -> None:
    at = house()
    done = await put(at, OTHER.mapping(), f'"{DEFAULT.hash()}"')
    assert done.status == 200
    assert done.answer_headers["etag"] == f'"{OTHER.hash()}"'
    told = done.answer_json
    assert (told["hash"], told["previous"]) == (OTHER.hash(), DEFAULT.hash())
    assert told["changed"] == [{"key": "kv_headroom_ratio", "from": 0.02, "to": 0.1}]
    assert told["replica"] == at.gate.replica
    assert at.gate.sections == [OTHER]
    assert (await at.ask(SETTINGS, method="GET")).answer_json == OTHER.mapping()


async def test_what_a_put_leaves_out_is_the_default() -> None:
    at = house()
    await put(at, OTHER.mapping())
    await put(at, {"mode": "shadow"})
    assert at.operations.section == parse_admission({"mode": "shadow"})


async def test_equal_settings_change_nothing_and_make_no_entry() -> None:
    at = house()
    done = await put(at, DEFAULT.mapping())
    assert (done.status, done.answer_json["changed"]) == (200, [])
    assert at.gate.sections == []
    assert len((await at.ask(HISTORY, method="GET")).answer_json["history"]) == 1


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ("*", 200),
        (f'"{DEFAULT.hash()}"', 200),
        (f'"0123456789ab", "{DEFAULT.hash()}"', 200),
        (None, 428),
        ('"0123456789ab"', 412),
        (f'W/"{DEFAULT.hash()}"', 412),
        ('""', 412),
        (DEFAULT.hash(), 400),
        ("", 400),
        (f'"{DEFAULT.hash()}" *', 400),
    ],
)
async def test_who_changes_settings_says_which_ones_it_has_seen(
    if_match: str | None, status: int
) -> None:
    at = house()
    done = await put(at, OTHER.mapping(), if_match)
    assert done.status == status
    assert at.gate.sections == ([OTHER] if status == 200 else [])
    if status != 200:
        assert DEFAULT.hash() in done.answer_json["error"]["message"]
        assert done.answer_json["error"]["param"] == "if-match"
    if status in {412, 428}:
        assert done.answer_headers["etag"] == f'"{DEFAULT.hash()}"'


@pytest.mark.parametrize(
    ("document", "complaints"),
    [
        ({"kv_headroom_ratio": 90}, ["kv_headroom_ratio: 90 is not valid; give a ratio"]),
        ({"ttft_deadline_ms": 5}, ["did you mean ttft_deadline_s (seconds)?"]),
        ({"mode": 1, "queue": {"max_requests": 0}}, ["mode: 1 is not", "queue.max_requests: 0 is"]),
        ({"tenants": {"a b": {}}}, ["no tenant's name"]),
        ({"admission": {"mode": "off"}}, ["admission: unknown key"]),
        ({"queue": 5}, ["queue: expected keys below it"]),
    ],
)
async def test_a_bad_section_is_refused_whole_with_a_line_per_problem(
    document: object, complaints: list[str]
) -> None:
    at = house()
    done = await put(at, document)
    lines = done.answer_json["error"]["message"].splitlines()
    assert (done.status, len(lines)) == (400, len(complaints))
    assert all(any(words in line for line in lines) for words in complaints)
    assert at.gate.sections == []
    assert at.operations.section == DEFAULT


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"mode": "off", "mode": "shadow"}',
        b'{"queue": {"max_tokens": 1, "max_tokens": 2}}',
        b'{"kv_headroom_ratio": NaN}',
        b'{"kv_headroom_ratio": "0.1"}',
        b'{"kv_headroom_ratio": 1e400}',
    ],
)
async def test_what_is_no_section_changes_nothing(raw: bytes) -> None:
    at = house()
    done = await put(at, None, raw=raw)
    assert done.status == 400
    assert at.gate.sections == []


async def test_of_two_who_saw_the_same_settings_one_is_told_so() -> None:
    at = house()
    seen = f'"{DEFAULT.hash()}"'
    assert (await put(at, OTHER.mapping(), seen)).status == 200
    late = await put(at, {"mode": "off"}, seen)
    assert code_of(late) == (412, "settings_changed")
    assert at.operations.section == OTHER


# -- history and back ----------------------------------------------------------------------


async def test_the_history_says_who_changed_what_newest_first() -> None:
    at = house()
    await put(at, OTHER.mapping())
    told = (await at.ask(HISTORY, method="GET")).answer_json
    assert told["hash"] == OTHER.hash()
    newest, first = told["history"]
    assert (newest["hash"], newest["via"], newest["by"]) == (OTHER.hash(), "put", "anonymous")
    assert newest["changed"] == [{"key": "kv_headroom_ratio", "from": 0.02, "to": 0.1}]
    assert (first["hash"], first["via"], first["by"]) == (DEFAULT.hash(), "start", None)


@pytest.mark.parametrize("to", [None, {}, {"to": None}, {"to": DEFAULT.hash()}])
async def test_a_rollback_restores_the_settings_before(to: object) -> None:
    at = house()
    await put(at, OTHER.mapping())
    done = await roll_back(at, to, f'"{OTHER.hash()}"')
    assert (done.status, done.answer_json["hash"]) == (200, DEFAULT.hash())
    assert at.gate.sections == [OTHER, DEFAULT]
    newest = (await at.ask(HISTORY, method="GET")).answer_json["history"][0]
    assert newest["via"] == "rollback"
    again = await roll_back(at, None)
    assert again.answer_json["hash"] == OTHER.hash(), "and back again"


@pytest.mark.parametrize("to", [{"to": "0123456789ab"}, {"to": 1}, {"hash": "x"}, {"to": ["x"]}])
async def test_a_rollback_to_nowhere_is_400(to: object) -> None:
    at = house()
    await put(at, OTHER.mapping())
    assert (await roll_back(at, to)).status == 400
    assert at.operations.section == OTHER


async def test_a_rollback_needs_the_present_hash_too() -> None:
    at = house()
    await put(at, OTHER.mapping())
    assert (await at.ask(ROLLBACK, raw=b"")).status == 428
    assert (await roll_back(at, None, f'"{DEFAULT.hash()}"')).status == 412


async def test_with_no_settings_before_a_rollback_says_so() -> None:
    assert (await roll_back(house(), None)).status == 400


# -- browsers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SETTINGS),
        ("PUT", SETTINGS),
        ("GET", HISTORY),
        ("POST", ROLLBACK),
        ("POST", KEYS_RELOAD),
        ("POST", "/v1/admission/resume"),
    ],
)
async def test_a_page_in_a_browser_is_no_operator(method: str, path: str) -> None:
    at = house()
    done = await at.ask(path, {"mode": "off"}, method=method, headers=PAGE | {"if-match": "*"})
    assert done.status == 403
    assert at.gate.sections == []


# -- keys ----------------------------------------------------------------------------------


def line(key: str, *, admin: bool = False) -> dict[str, Any]:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"tenant": key, "admin": admin, "key_sha256": digest}


class Closed:
    """A house whose keys come from a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.yaml"
        entries = [line("ops", admin=True), line("old")]
        self.write(entries)
        keys = Keys(KeyEntry(**entry) for entry in entries)
        self.at = house(access=AccessSection(api_keys_file=self.file), keys=keys)

    def write(self, entries: object) -> None:
        self.file.write_text(json.dumps(entries))

    async def status(self, key: str, path: str = "/version") -> int | None:
        return (await self.at.ask(path, method="GET", headers={"x-api-key": key})).status

    async def reload(self, key: str = "ops") -> Exchange:
        return await self.at.ask(KEYS_RELOAD, raw=b"", headers={"x-api-key": key})


async def test_keys_are_read_again(tmp_path: Path) -> None:
    closed = Closed(tmp_path)
    closed.write([line("ops", admin=True), line("new")])
    told = (await closed.reload()).answer_json
    assert (told["count"], told["refused"], told["warnings"]) == (2, None, [])
    assert [await closed.status(key) for key in ("ops", "new", "old")] == [200, 200, 401]


@pytest.mark.parametrize(
    "entries",
    [[], None, {}, [{"tenant": "x"}], [line("new")], [line("a", admin=True), {"key_sha256": "1"}]],
    ids=["empty", "null", "map", "incomplete", "no admin", "one bad"],
)
async def test_bad_keys_are_refused_whole_and_the_old_ones_open_on(
    tmp_path: Path, entries: object
) -> None:
    closed = Closed(tmp_path)
    closed.write(entries)
    assert code_of(await closed.reload()) == (409, "keys_refused")
    assert [await closed.status(key) for key in ("ops", "old", "new", "a")] == [200, 200, 401, 401]
    assert closed.at.operations._ring.as_json()["refused"]
    closed.write([line("ops", admin=True)])
    assert (await closed.reload()).answer_json["refused"] is None


async def test_keys_that_are_gone_are_never_open_to_all(tmp_path: Path) -> None:
    closed = Closed(tmp_path)
    closed.file.unlink()
    assert code_of(await closed.reload()) == (409, "keys_refused")
    assert await closed.status("nobody") == 401


async def test_an_operator_who_leaves_itself_out_is_warned(tmp_path: Path) -> None:
    closed = Closed(tmp_path)
    closed.write([line("ops2", admin=True)])
    (warning,) = (await closed.reload()).answer_json["warnings"]
    assert "tenant ops" in warning
    assert (await closed.reload("ops2")).status == 200


async def test_without_keys_there_is_nothing_to_read() -> None:
    at = house()
    told = (await at.ask(KEYS_RELOAD, raw=b"")).answer_json
    assert (told["count"], told["refused"]) == (0, None)
    assert (await at.ask("/version", method="GET")).status == 200


# -- drain and resume ----------------------------------------------------------------------


async def test_resume_undoes_a_drain() -> None:
    at = house()
    drained = await at.ask("/v1/admission/drain", raw=b"")
    assert drained.answer_json == {"status": "draining", "replica": at.gate.replica}
    resumed = await at.ask("/v1/admission/resume", raw=b"")
    assert (resumed.status, resumed.answer_json["status"]) == (200, "ok")
    assert (await at.ask("/health", method="GET")).status == 200


async def test_the_drain_of_a_gateway_that_ends_is_not_undone() -> None:
    at = house()
    at.gate.draining = at.gate.ending = True
    assert code_of(await at.ask("/v1/admission/resume", raw=b"")) == (409, "ending")
    assert (await at.ask("/health", method="GET")).status == 503


# -- SIGHUP --------------------------------------------------------------------------------


async def test_a_reload_reads_keys_and_the_profile_that_changed(tmp_path: Path) -> None:
    closed = Closed(tmp_path)
    closed.write([line("ops", admin=True)])
    told = await closed.at.operations.reload(OTHER.mapping())
    replica = closed.at.gate.replica
    assert told == {"replica": replica, "hash": OTHER.hash(), "refused": None, "keys": 1}
    assert closed.at.gate.sections == [OTHER]


async def test_a_reload_says_what_it_refused_of_either(tmp_path: Path) -> None:
    closed = Closed(tmp_path)
    closed.write([])
    told = await closed.at.operations.reload({"kv_headroom_ratio": 7})
    assert (told["hash"], told["keys"]) == (DEFAULT.hash(), None)
    assert "kv_headroom_ratio" in told["refused"]
    assert "no key found" in told["refused"]


async def test_a_reload_without_settings_leaves_them(tmp_path: Path) -> None:
    at = house()
    await put(at, OTHER.mapping())
    told = await at.operations.reload(None)
    assert (told["hash"], told["refused"]) == (OTHER.hash(), None)
