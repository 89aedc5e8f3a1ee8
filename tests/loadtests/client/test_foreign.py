"""Endpoints that are no Sluice: where they are, what they call themselves, what they refuse."""

import gevent
import pytest
from aiohttp import web
from gevent.server import StreamServer

from loadtests.asking.prompts import Route
from loadtests.client import models
from loadtests.client.address import parse_address
from loadtests.client.api import Api, EndpointDownError
from loadtests.client.attempt import Attempt, Call, End, HttpLine
from loadtests.client.clock import ModelledClock
from loadtests.client.facts import EndpointFacts, read_facts, read_state
from tests.loadtests.foreign import Foreign, Heard, foreign

WORD = b'data: {"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
STREAM = WORD + WORD + LAST + b"data: [DONE]\n\n"
MODELS = {"data": [{"id": "m", "max_model_len": 4096}]}


def plain(heard: Heard) -> object:
    """A list of models and completions at the usual paths, nothing else."""
    path = heard.path.partition("?")[0]
    if path.endswith("/v1/models"):
        return MODELS
    return STREAM if path.endswith("/v1/chat/completions") else 404


def called(api: Api, key: str | None = None) -> Attempt:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return HttpLine(api.sender, ModelledClock()).attempt(Call(Route.CHAT, b"{}", headers))


def tried(
    answer: object, path: str = "", model: str | None = None, key: str | None = None
) -> tuple[EndpointFacts, Attempt, Foreign]:
    """What is known of an endpoint, and what one call to it comes to."""
    with foreign(answer) as endpoint:  # type: ignore[arg-type]
        api = Api(endpoint.url + path, key=key)
        try:
            facts = read_facts(api, model)
            return facts, called(api, key), endpoint
        finally:
            api.close()


# -- where it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "chat", "metrics"),
    [
        ("http://h:1", "/v1/chat/completions", "/metrics"),
        ("http://h:1/", "/v1/chat/completions", "/metrics"),
        ("http://h:1/v1", "/v1/chat/completions", "/metrics"),
        ("http://h:1/v1/", "/v1/chat/completions", "/metrics"),
        ("http://h/team-a/openai", "/team-a/openai/v1/chat/completions", "/team-a/openai/metrics"),
        ("http://h/team-a/openai/", "/team-a/openai/v1/chat/completions", "/team-a/openai/metrics"),
        ("http://h/a/v1/", "/a/v1/chat/completions", "/a/metrics"),
        ("http://h/api/v3", "/api/v3/chat/completions", "/api/metrics"),
        ("http://h/v1/chat/completions", "/v1/chat/completions", "/metrics"),
        ("http://h/a?v=2", "/a/v1/chat/completions?v=2", "/a/metrics?v=2"),
    ],
)
def test_a_base_path_holds_for_every_request(url: str, chat: str, metrics: str) -> None:
    address = parse_address(url)
    assert (address.target("/v1/chat/completions"), address.target("/metrics")) == (chat, metrics)


def test_an_address_has_its_usual_port_and_ipv6_its_brackets() -> None:
    assert parse_address("https://h/x").origin == "https://h:443"
    assert parse_address("http://[::1]:8000").origin == "http://[::1]:8000"


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_what_was_tried_is_said_as_it_was(path: str) -> None:
    with pytest.raises(EndpointDownError, match=r"^http://127\.0\.0\.1:9/v1/models: Conn"):
        read_facts(Api("http://127.0.0.1:9" + path))


@pytest.mark.parametrize("url", ["h:8000", "localhost", "ftp://h", "http://", "http://h:x", ""])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(ValueError, match="give http://HOST:PORT"):
        Api(url)


@pytest.mark.parametrize("path", ["/team-a/openai", "/team-a/openai/", "/team-a/openai/v1/"])
def test_all_that_is_asked_goes_below_the_base_path(path: str) -> None:
    facts, attempt, endpoint = tried(plain, path)
    assert (facts.model, attempt.end) == ("m", End.COMPLETE)
    assert all(each.path.startswith("/team-a/openai/") for each in endpoint.heard)


def test_an_api_without_a_version_in_its_paths_is_found() -> None:
    def answer(heard: Heard) -> object:
        answers = {"/beta/openai/models": MODELS, "/beta/openai/chat/completions": STREAM}
        return answers.get(heard.path, 404)

    facts, attempt, _ = tried(answer, "/beta/openai")
    assert (attempt.end, "has no /v1" in facts.notes[0]) == (End.COMPLETE, True)


# -- redirects -------------------------------------------------------------------------------------


def redirect(location: str, status: int) -> web.Response:
    return web.Response(status=status, headers={"location": location})


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_method_keeps_the_body_too(status: int) -> None:
    def answer(heard: Heard) -> object:
        moved = heard.path == "/v1/chat/completions"
        return redirect(heard.path + "/", status) if moved else plain_below(heard)

    def plain_below(heard: Heard) -> object:
        return STREAM if heard.path == "/v1/chat/completions/" else plain(heard)

    _, attempt, endpoint = tried(answer, key="k")
    (last,) = endpoint.asked("/v1/chat/completions/")
    assert (attempt.end, last.method, last.body) == (End.COMPLETE, "POST", {})
    assert last.headers["authorization"] == "Bearer k"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_makes_a_get_of_a_post_is_told(status: int) -> None:
    def answer(heard: Heard) -> object:
        return redirect("http://other/v1?key=x", status) if heard.method == "POST" else plain(heard)

    _, attempt, _ = tried(answer)
    assert (attempt.end, attempt.reason) == (End.BROKEN, f"http_{status}")
    assert attempt.said == "redirected to http://other/v1"


def test_an_endpoint_that_has_moved_is_asked_where_it_is() -> None:
    def answer(heard: Heard) -> object:
        here = heard.path.startswith("/new/")
        return plain(heard) if here else redirect("/new" + heard.path, 301)

    facts, attempt, endpoint = tried(answer, "/old")
    assert attempt.end is End.COMPLETE
    assert facts.notes == (f"redirected to {endpoint.url}/new/old/v1",)
    assert len(endpoint.asked("/v1/chat/completions")) == 1


def test_an_endpoint_may_have_moved_to_a_path_without_a_version() -> None:
    def answer(heard: Heard) -> object:
        answers = {"/new/models?k=1": MODELS, "/new/chat/completions?k=1": STREAM}
        moved = redirect("/new/models?k=1", 308)
        return moved if heard.path == "/v1/models?k=1" else answers.get(heard.path, 404)

    assert tried(answer, "?k=1")[1].end is End.COMPLETE


def test_redirects_end() -> None:
    def answer(heard: Heard) -> object:
        return redirect(heard.path, 307) if heard.method == "POST" else plain(heard)

    _, attempt, endpoint = tried(answer)
    assert (attempt.end, attempt.reason) == (End.BROKEN, "http_307")
    assert len(endpoint.asked("/v1/chat/completions")) <= 10


def test_a_key_is_not_sent_to_another_host() -> None:
    with foreign(plain) as other:
        there = other.url.replace("127.0.0.1", "localhost")

        def answer(heard: Heard) -> object:
            is_call = heard.path == "/v1/chat/completions"
            return redirect(there + heard.path, 307) if is_call else plain(heard)

        _, attempt, _ = tried(answer, key="secret")
        assert attempt.end is End.COMPLETE
        assert all("secret" not in str(each) for each in other.heard)


@pytest.mark.parametrize(
    ("here", "there", "trusted"),
    [
        ("http://h:1", "http://h:1/x", True),
        ("http://h", "https://h", True),
        ("https://h", "http://h", False),
        ("http://h:1", "http://h:2", False),
        ("http://h", "http://g", False),
    ],
)
def test_a_key_goes_only_where_it_was_meant_to(here: str, there: str, trusted: bool) -> None:
    assert parse_address(here).trusts(parse_address(there)) == trusted


# -- routes and keys -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
def test_routes_that_only_a_sluice_has_are_not_missed(status: int) -> None:
    def answer(heard: Heard) -> object:
        return status if (found := plain(heard)) == 404 else found

    facts, attempt, endpoint = tried(answer)
    assert (facts.mode, facts.time_scale, attempt.end) == (None, 1.0, End.COMPLETE)
    assert len(endpoint.asked("/v1/admission/state")) == 1


def test_an_endpoint_that_has_an_answer_for_every_path_is_no_sluice() -> None:
    def answer(heard: Heard) -> object:
        return {"time_scale": "x", "count": "many"} if plain(heard) == 404 else plain(heard)

    facts, attempt, _ = tried(answer)
    assert (facts.mode, facts.time_scale, attempt.end) == (None, 1.0, End.COMPLETE)


def test_the_state_of_what_has_none_is_asked_for_once() -> None:
    with foreign(plain) as endpoint:  # type: ignore[arg-type]
        api = Api(endpoint.url)
        read_facts(api)
        assert read_state(api) == {}
        assert len(endpoint.asked("/v1/admission/state")) == 1
        api.close()


# -- models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"id": "m"}]},
        {"object": "list", "data": [{"id": "m", "root": "r"}, {"id": "alias", "root": "r"}]},
        {"data": [{"id": "m", "parent": None}, {"id": "adapter", "parent": "m"}]},
        {"models": [{"name": "m"}]},
        [{"id": "m"}],
        ["m"],
        {"data": [None, 3, {"x": 1}, {"id": "m"}]},
    ],
)
def test_a_list_of_one_model_is_read_in_any_shape(answer: object) -> None:
    entry = models.chosen(models.listed(answer), None)
    assert entry is not None
    assert models.name_of(entry) == "m"


@pytest.mark.parametrize("answer", [None, {}, {"data": None}, {"data": "x"}, 7, [], {"data": []}])
def test_a_list_without_a_model_chooses_none(answer: object) -> None:
    assert models.chosen(models.listed(answer), None) is None


@pytest.mark.parametrize("name", ["max_model_len", "context_length", "context_window"])
def test_the_context_has_several_names(name: str) -> None:
    assert models.context_of({name: 4096}) == 4096
    assert models.context_of({name: None}) is None
    assert models.context_of({name: None, "meta": {"n_ctx": 2048}}) == 2048


def several(heard: Heard) -> object:
    return {"data": [{"id": "a"}, {"id": "b"}]} if heard.path == "/v1/models" else plain(heard)


def test_of_several_models_one_must_be_named() -> None:
    with pytest.raises(ValueError, match="say which with --model: a, b"):
        tried(several)
    facts, _, _ = tried(several, model="b")
    assert (facts.model, facts.notes) == ("b", ())


def test_a_model_that_is_not_listed_is_asked_for_with_a_word() -> None:
    facts, _, _ = tried(several, model="c")
    assert facts.model == "c"
    assert facts.notes == ("model 'c' is not in the endpoint's list",)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
def test_without_a_list_the_model_is_as_named(status: int) -> None:
    def answer(heard: Heard) -> object:
        return status if heard.path.endswith("/models") else plain(heard)

    facts, attempt, _ = tried(answer, model="mine")
    assert (facts.model, attempt.end) == ("mine", End.COMPLETE)
    with pytest.raises((ValueError, EndpointDownError), match=f"status {status}"):
        tried(answer)


@pytest.mark.parametrize("status", [502, 503])
def test_what_is_down_stays_down_with_a_name(status: int) -> None:
    with pytest.raises(EndpointDownError, match=f"status {status}"):
        tried(lambda _: status, model="mine")


# -- answers that failed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "reason", "said"),
    [
        (401, '{"error": {"message": "no key", "code": "invalid_api_key"}}', "invalid_api_key", 1),
        (401, '{"error": "no key"}', "http_401", 1),
        (404, '{"detail": "no key"}', "http_404", 1),
        (400, '{"message": "no key"}', "http_400", 1),
        (400, '{"code": 20012, "message": "no key"}', "20012", 1),
        (400, '{"object": "error", "type": "Bad", "message": "no key", "code": null}', "Bad", 1),
        (502, "<html><head><title>no key</title></head>", "http_502", 1),
        (500, "no key", "http_500", 1),
        (500, "", "http_500", 0),
        (500, '["x"]', "http_500", 0),
    ],
)
def test_a_status_is_told_with_the_servers_words(
    status: int, body: str, reason: str, said: int
) -> None:
    def answer(heard: Heard) -> object:
        return web.Response(status=status, text=body) if heard.method == "POST" else plain(heard)

    _, attempt, _ = tried(answer)
    assert (attempt.end, attempt.status, attempt.reason) == (End.BROKEN, status, reason)
    if said:
        assert attempt.said == "no key"


@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_endpoint_without_room_refuses(status: int) -> None:
    def answer(heard: Heard) -> object:
        return web.Response(status=status) if heard.method == "POST" else plain(heard)

    assert tried(answer)[1].end is End.REFUSED


@pytest.mark.parametrize(
    ("told", "waits_s"),
    [("3", 3.0), ("0", 0.0), *((each, None) for each in ("-5", "nan", "inf", "1e999", "x"))],
)
def test_only_a_length_of_time_is_waited(told: str, waits_s: float | None) -> None:
    def answer(heard: Heard) -> object:
        refusal = web.Response(status=429, headers={"retry-after": told})
        return refusal if heard.method == "POST" else plain(heard)

    assert tried(answer)[1].retry_after_s == waits_s


def raw(*pieces: bytes, lingers_s: float = 0.0) -> Attempt:
    """What comes of an answer of these bytes, each sent by itself, before the connection ends."""

    def serve(connection: "gevent.socket.socket", _: object) -> None:
        connection.recv(65_536)
        for piece in pieces:
            connection.sendall(piece)
            gevent.sleep(0.02)
        gevent.sleep(lingers_s)
        connection.close()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    api = Api(f"http://127.0.0.1:{server.server_port}")
    try:
        return called(api)
    finally:
        api.close()
        server.stop()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
CHUNKED = HEAD.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def test_a_body_may_end_with_its_connection() -> None:
    attempt = raw(HEAD, WORD, WORD, LAST)
    assert (attempt.end, attempt.heard.output_tokens) == (End.COMPLETE, 3)


def test_tokens_are_timed_whatever_ends_their_lines() -> None:
    attempt = raw(HEAD, *(each.replace(b"\n", b"\r") for each in (WORD, WORD, LAST)))
    assert (attempt.end, len(attempt.heard.gaps_s)) == (End.COMPLETE, 2)
    assert all(gap_s > 0.005 for gap_s in attempt.heard.gaps_s)


def test_an_event_that_comes_in_pieces_is_one_token() -> None:
    attempt = raw(HEAD, WORD[:9], WORD[9:40], WORD[40:], WORD + LAST[:-1], LAST[-1:])
    assert (attempt.end, attempt.heard.output_tokens) == (End.COMPLETE, 3)


@pytest.mark.parametrize(
    "pieces", [(CHUNKED, chunk(WORD)), (CHUNKED, chunk(WORD)[:-9]), (HEAD[:9],)]
)
def test_a_body_that_is_cut_is_no_answer(pieces: tuple[bytes, ...]) -> None:
    attempt = raw(*pieces)
    assert (attempt.end, bool(attempt.reason)) == (End.BROKEN, True)


def test_after_its_end_a_stream_is_not_waited_for() -> None:
    attempt = raw(CHUNKED, chunk(STREAM), lingers_s=5.0)
    assert attempt.end is End.COMPLETE
    assert attempt.ended_at_s is not None
    assert attempt.ended_at_s < 4


def test_what_is_cut_after_its_end_is_an_answer() -> None:
    assert raw(CHUNKED, chunk(STREAM)).end is End.COMPLETE


@pytest.mark.parametrize("kept", [True, False])
def test_a_kept_connection_that_was_just_closed_is_no_failure(kept: bool) -> None:
    """Each connection has one answer, and is closed as its second request comes."""

    def serve(connection: "gevent.socket.socket", _: object) -> None:
        if connection.recv(65_536) and kept:
            connection.sendall(CHUNKED + chunk(STREAM) + chunk(b""))
            connection.recv(65_536)
        connection.close()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    api = Api(f"http://127.0.0.1:{server.server_port}")
    try:
        ends = [called(api).end for _ in range(2)]
    finally:
        api.close()
        server.stop()
    assert ends == [End.COMPLETE if kept else End.BROKEN] * 2


def test_another_status_of_success_is_one() -> None:
    assert raw(HEAD.replace(b"200 OK", b"201 Created"), STREAM).end is End.COMPLETE


@pytest.mark.parametrize(
    ("body", "reason", "said"),
    [
        (b'{"error": {"message": "boom", "code": 500}}', "500", "boom"),
        (b'{"detail": "boom"}', "boom", "boom"),
        (b"<html><title>boom</title></html>", "not_a_stream", "boom"),
        (b"", "cut_off", None),
    ],
)
def test_an_error_with_status_200_is_one(body: bytes, reason: str, said: str | None) -> None:
    attempt = raw(HEAD, body)
    assert (attempt.end, attempt.reason, attempt.said) == (End.BROKEN, reason, said)
