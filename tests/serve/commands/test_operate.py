"""`sluice config`, `drain` and `resume` against a gateway's own routes, served over HTTP."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serve.access.tenants import KeyEntry, Keys, new_key
from serve.commands.cli import main
from serve.profile.settings import AdmissionSection, parse_admission
from tests.fakes import FakePeers, fleet

KEY, DIGEST = new_key()
OTHER = parse_admission({"kv_headroom_ratio": 0.1, "tenants": {"team": {"weight": 3}}})


class Served:
    """A house behind a real socket: what its edge answers to what `http.client` sends."""

    def __init__(self, replicas: str = "r", **parts: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self.peers = self._loop.run_until_complete(_made(replicas, parts))
        self.houses = self.peers.houses
        self.house = self.houses[0]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._accepting = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.before_put: list[dict[str, Any]] = []  # settings of somebody who is faster

    def __enter__(self) -> "Served":
        self._thread.start()
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._accepting.join()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def section(self) -> AdmissionSection:
        return self.house.operations.section

    def _ask(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> Any:
        if method == "PUT" and self.before_put:
            document = self.before_put.pop()
            sent = {**headers, "if-match": "*"}
            faster = self.house.ask(path, document, method="PUT", headers=sent)
            asyncio.run_coroutine_threadsafe(faster, self._loop).result(10)
        path, _, query = path.partition("?")
        asking = self.house.ask(path, method=method, headers=headers, raw=raw, query=query)
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result(10)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                done = served._ask(self.command, self.path, headers, raw)
                self.send_response(done.status)
                for name, value in done.answer_headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(done.answer_body)

            do_GET = do_PUT = do_POST = answer  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:  # not onto the terminal
                pass

        return Handler


async def _made(replicas: str, parts: dict[str, Any]) -> FakePeers:
    peers = fleet(replicas, **parts)
    for at in peers.houses:
        at.gate.told = {
            "replica": at.gate.replica,
            "replicas": len(replicas),
            "config": at.operations._in_force.as_json(),
            "leases": 0,
            "sequences": {"held": 0, "limit": 8},
            "kv": {"capacity_blocks": 100, "held_blocks": 0},
            "prefill_backlog_tokens": 0,
            "queue": {"requests": 0, "tokens": 0},
        }
    return peers


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as one:
        yield one


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "new.yaml"
    file.write_text(json.dumps(OTHER.mapping()))
    return file


def apply(url: str, file: Path, *more: str) -> int:
    return main(["config", "apply", str(file), "--admission", "--url", url, *more])


def narrow(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed; fails on a line over 80 columns."""
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines()), text
    return text


def test_apply_shows_the_difference_and_puts_it_into_force(
    served: Served, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(served.url, file) == 0
    assert served.section == OTHER
    text = narrow(capsys)
    assert f"{AdmissionSection().hash()} -> {OTHER.hash()}" in text
    assert "0.02 -> 0.1" in text
    assert "tenants.team" in text
    assert f"applied: {OTHER.hash()} on replica {served.house.gate.replica}" in text


def test_apply_takes_the_section_of_a_profile(served: Served, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(
        "engine: {embedded_model: smollm2-135m-instruct}\nadmission: {mode: shadow}\n"
    )
    assert main(["config", "apply", str(profile), "--url", served.url]) == 0
    assert served.section.mode == "shadow"


def test_what_is_in_force_is_not_sent_again(
    served: Served, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(served.url, file)
    assert apply(served.url, file) == 0
    assert "nothing differs" in narrow(capsys)
    assert len(served.house.gate.sections) == 1


def test_who_is_overtaken_is_told_and_changes_nothing(
    served: Served, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served.before_put.append({"mode": "off"})
    assert apply(served.url, file) == 1
    assert served.section.mode == "off"
    assert "changed meanwhile" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_a_terminal_is_asked(
    served: Served, file: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    assert apply(served.url, file) == code
    assert (served.section == OTHER) == (code == 0)
    monkeypatch.setattr(Terminal, "readline", None)
    assert apply(served.url, file, "--yes") == 0


@pytest.mark.parametrize("content", ["mode: observe", "kv_headroom_ratio: 7", "{", None])
def test_a_bad_file_is_2_and_nothing_is_sent(
    served: Served, tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.yaml"
    if content is not None:
        file.write_text(content)
    assert apply(served.url, file) == 2
    assert "bad.yaml" in capsys.readouterr().err
    assert served.house.gate.sections == []


def test_show_tells_what_holds_and_where_it_comes_from(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "show", "--url", served.url]) == 0
    text = narrow(capsys)
    assert AdmissionSection().hash() in text
    assert "kv_headroom_ratio" in text
    assert "start" in text


def test_show_as_json_can_be_applied(
    served: Served, tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["config", "show", "--json", "--url", served.url])
    before = tmp_path / "before.json"
    before.write_text(capsys.readouterr().out)
    apply(served.url, file)
    assert apply(served.url, before) == 0
    assert served.section == AdmissionSection()


def test_history_and_rollback(
    served: Served, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(served.url, file)
    assert main(["config", "rollback", "--url", served.url]) == 0
    assert served.section == AdmissionSection()
    assert main(["config", "rollback", "--to", OTHER.hash(), "--url", served.url]) == 0
    assert served.section == OTHER
    assert main(["config", "rollback", "--to", "0123456789ab", "--url", served.url]) == 2
    assert main(["config", "history", "--url", served.url]) == 0
    text = narrow(capsys)
    assert text.index("rollback by anonymous") < text.index("put by anonymous")


def test_drain_and_resume(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drain", "--url", served.url]) == 0
    assert served.house.gate.draining
    assert main(["resume", "--url", served.url]) == 0
    assert not served.house.gate.draining
    assert served.house.gate.replica in narrow(capsys)
    served.house.gate.ending = True
    assert main(["resume", "--url", served.url]) == 1


def test_the_key_comes_from_the_argument_or_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [KeyEntry(tenant="ops", admin=True, key_sha256=DIGEST)]
    with Served(keys=Keys(entries)) as closed:
        show = ["config", "show", "--url", closed.url]
        assert main(show) == 2
        assert "API key" in capsys.readouterr().err
        assert main([*show, "--api-key", KEY]) == 0
        monkeypatch.setenv("SLUICE_API_KEY", f"{KEY}\n")
        assert main(show) == 0
        assert main([*show, "--api-key", "sk-wrong"]) == 2


def test_all_replicas_are_changed_drained_and_resumed_at_once(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Served(replicas="ab") as several:
        assert apply(several.url, file) == 0
        assert "on replica a, b" in narrow(capsys)
        assert {each.operations.section.hash() for each in several.houses} == {OTHER.hash()}
        assert main(["config", "show", "--url", several.url]) == 0
        assert "2 replicas, a, b" in narrow(capsys)
        assert main(["drain", "--url", several.url, "--replica", "b"]) == 0
        assert [each.gate.draining for each in several.houses] == [False, True]
        assert main(["drain", "--url", several.url]) == 0
        assert "replica a admits nothing more" in narrow(capsys)
        assert main(["resume", "--url", several.url]) == 0
        assert not any(each.gate.draining for each in several.houses)
        assert main(["drain", "--url", several.url, "--replica", "c"]) == 2


def test_a_replica_that_does_not_answer_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Served(replicas="ab") as several:
        assert main(["drain", "--url", several.url]) == 0
        capsys.readouterr()
        several.peers.silent.add("b")
        assert main(["drain", "--url", several.url]) == 4
        assert "1 of the gateway's replicas did not answer (b)" in capsys.readouterr().err
        assert apply(several.url, file) == 4
        assert "Nothing was changed" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["config", "show"], ["config", "history"], ["drain"]])
def test_nobody_there_is_4(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    assert main([*verb, "--url", url]) == 4
    assert url in capsys.readouterr().err


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", "http://", "http://x:99999", ""])
def test_what_is_no_url_is_2(url: str) -> None:
    assert main(["config", "show", "--url", url]) == 2
