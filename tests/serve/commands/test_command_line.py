"""First impressions: versions, help, and one sentence for every mistake, without a traceback."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from serve.commands import command_line
from serve.commands.cli import _commands, command_parser, main
from serve.commands.commands_doc import TABLES
from serve.commands.no_answer import no_answer
from serve.doc_tables import current

ROOT = Path(__file__).resolve().parents[3]
DOC = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
PROFILE = str(ROOT / "configs" / "sim-qwen3-32b-8xa10.yaml")
URL = "http://127.0.0.1:9"  # discard: nothing listens there
BINARY = str(ROOT / "loadtests" / "traces" / "azure2023_code.csv.gz")
COMMANDS = _commands(command_parser())
PLAN = ["plan", "--model", "Qwen/Qwen3-32B", "--gpu", "a10"]


def ends(arguments: list[str]) -> int:
    """The exit code, whether it is returned or raised."""
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_told(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends([flag]) == 0
    assert capsys.readouterr().out.startswith("sluice ")


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends([]) == 0
    alone = capsys.readouterr().out
    assert ends(["--help"]) == 0
    assert alone == capsys.readouterr().out
    assert ends(["config"]) == 0
    assert "rollback" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_in_80_columns_and_stands_in_the_document(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert ends([command, "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert f"`sluice {command}" in DOC


def test_the_tables_of_the_document_are_current() -> None:
    assert current(DOC, TABLES) == DOC, (
        "run: python -m serve.commands.commands_doc docs/reference/commands.md"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["srve"], 2, "sluice: no command 'srve'; the nearest is serve; see sluice --help"),
        (["--vers"], 2, "sluice: unknown argument --vers; see sluice --help"),
        (["plan", "--mod", "x"], 2, "sluice plan: unknown argument --mod x; see sluice plan"),
        ([*PLAN, "--isl", "x"], 2, "argument --isl: invalid int value: 'x'; see sluice plan"),
        (["config", "shw"], 2, "invalid choice: 'shw'"),
        (["limit"], 2, "--host; see sluice limit --help"),
        # a card, a model, a file that is not there
        ([*PLAN[:-1], "a11"], 2, "unknown GPU 'a11'; nearest known: A10"),
        ([*PLAN[:-1], "a11"], 2, "(sluice plan --list gpus)"),
        (["plan", "--model", "Qwen3-33B", "--gpu", "a10"], 2, "nearest known: Qwen/Qwen3-32B"),
        (["plan", "--model", "Qwen3-33B", "--gpu", "a10"], 2, "else give its config.json"),
        (["plan", "--model", "./none", "--gpu", "a10"], 2, "none: No such file or directory"),
        (["plan", "--config", "none.yaml"], 2, "none.yaml: No such file or directory"),
        ([*PLAN, "--workload", "none.csv"], 2, "none.csv: No such file or directory"),
        (["check-config", "none.yaml"], 2, "none.yaml: no such file"),
        (["calibrate", "--config", "none.yaml"], 2, "none.yaml: no such file"),
        (["config", "apply", "none.yaml"], 2, "none.yaml: no such file"),
        (["compare", "none.jsonl", "none"], 2, "compare: none.jsonl: No such file or directory"),
        (["lab", "replay", "none.jsonl"], 2, "none.jsonl: No such file or directory"),
        (["lab", "play", "none.csv", "--config", PROFILE], 2, "none.csv: No such file"),
        (["limit", "--host", URL, "--config", "none.yaml"], 2, "none.yaml: No such file"),
        (["limit", "--host", URL, "--beside", "none.json"], 2, "none.json: No such file"),
        (["serve", "--config", "none.yaml"], 2, "none.yaml: no such file"),
        (["serve", "--port", "70000"], 2, "'70000' is no port"),
        # a file or a number that is something else
        (["plan", "--config", BINARY], 2, "not a text file (UTF-8); give a YAML file"),
        (["lab", "grid", BINARY, "--out", "/dev/null"], 2, "not a text file (UTF-8)"),
        (["compare", BINARY, BINARY], 2, "not text (UTF-8), so no run and no limit of ours"),
        (["limit", "--host", URL, "--beside", BINARY], 2, "not what sluice limit --json prints"),
        ([*PLAN, "--pipeline-parallel-size", "0"], 2, "pipeline_parallel_size 0 is not positive"),
        ([*PLAN, "--weight-bits", "-4"], 2, "--weight-bits -4 is not positive"),
        ([*PLAN, "--available-kv-gib", "inf"], 2, "--available-kv-gib inf is not positive"),
        ([*PLAN, "--html", "/none/plan.html"], 2, "/none/plan.html: No such file or directory"),
        # a URL that is none, and one where nothing answers
        (["drain", "--url", "127.0.0.1:8000"], 2, "is no URL: give one as http://127.0.0.1:8000"),
        (["resume", "--url", "http://h:x"], 2, "is no URL"),
        (["config", "show", "--url", "http://[::1"], 2, "is no URL"),
        (["calibrate", "--url", "foo"], 2, "is no URL"),
        (["drain", "--url", URL], 4, "drain: nothing listens at http://127.0.0.1:9: is it started"),
        (["resume", "--url", URL], 4, "nothing listens at http://127.0.0.1:9"),
        (["config", "show", "--url", URL], 4, "nothing listens at http://127.0.0.1:9"),
        (["calibrate", "--url", URL], 4, "nothing listens at http://127.0.0.1:9"),
        (["limit", "--host", URL], 4, "/v1/models: nothing listens at http://127.0.0.1:9"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_documented_exit_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(arguments) == code
    caught = capsys.readouterr()
    assert says in " ".join(caught.err.split())
    assert len(caught.err.splitlines()) <= 4
    assert "Traceback" not in caught.err
    assert caught.out == ""


@pytest.mark.parametrize("names", ["gpus", "models", "workloads"])
def test_the_known_names_are_listed(names: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(["plan", "--list", names]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert {"gpus": "A10", "models": "Qwen/Qwen3-32B", "workloads": "chat"}[names] in listed


# -- the last net --------------------------------------------------------------------------


def test_what_was_not_foreseen_is_a_sentence_and_the_traceback_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fails() -> int:
        raise KeyError("a key\nof two lines")

    assert command_line.guarded("plan", fails) == 70
    told = " ".join(capsys.readouterr().err.split())
    (file,) = tmp_path.iterdir()
    assert told.startswith("sluice plan: an internal error of sluice: KeyError:")
    assert told.endswith(f"to report it, send {file}")
    assert "Traceback" in file.read_text()
    assert "Traceback" not in told


def test_an_interrupt_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert command_line.guarded("lab", interrupted) == 130
    assert capsys.readouterr().err == "sluice lab: interrupted\n"


# -- why nothing answers -------------------------------------------------------------------


def raised(problem: BaseException, cause: BaseException) -> BaseException:
    problem.__cause__ = cause
    return problem


CLIENTS_OWN = aiohttp.ClientConnectorError(None, ConnectionRefusedError(111, "x"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (ConnectionRefusedError(111, "x"), "nothing listens at http://gw:8000: is it started"),
        (CLIENTS_OWN, "nothing listens at http://gw:8000"),
        (socket.gaierror(-2, "x"), "no host is called gw: look at the URL"),
        (TimeoutError("x"), "http://gw:8000 does not answer in time"),
        (ssl.SSLError(1, "x"), "does not speak TLS as asked"),
        (ConnectionResetError(104, "x"), "hangs up without an answer"),
        (raised(ValueError("x"), BrokenPipeError(32, "x")), "hangs up without an answer"),
        (OSError(113, "No route to host"), "http://gw:8000 cannot be reached: No route to host"),
        (http.client.BadStatusLine("SSH-2.0\r\nmore"), "does not answer as HTTP: SSH-2.0"),
    ],
)
def test_the_same_sentence_whichever_library_found_out(problem: BaseException, says: str) -> None:
    assert says in no_answer("http://gw:8000/base", problem)


@pytest.mark.parametrize("url", ["gw:8000", "http://", "", "http://gw:99999", "http://[::1"])
def test_a_url_that_is_none_is_said_to_be_none(url: str) -> None:
    assert "is no URL: give one as http://" in no_answer(url, OSError())


class Stranger(BaseHTTPRequestHandler):
    """A server that is no gateway."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815 -- the base class's way to name a method

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(params=[b"[]", b"<p>hi", b'{"error": null}'], ids=["list", "page", "object"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that answers everything with that body."""
    kind = type("Kind", (Stranger,), {"body": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "command",
    [["drain"], ["resume"], ["config", "show"], ["config", "history"], ["calibrate"]],
)
def test_a_server_that_is_no_gateway_is_told_with_code_4(
    command: list[str], stranger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends([*command, "--url", stranger]) == 4
    caught = capsys.readouterr()
    assert "no Sluice gateway" in caught.err
    assert len(caught.err.splitlines()) <= 3
