"""`sluice limit` on endpoints of other makers: what failed is said, what is guessed is marked."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from serve.commands.cli import main
from tests.loadtests.client.test_foreign import LAST, STREAM, WORD, plain, several
from tests.loadtests.foreign import Heard, foreign

pytestmark = pytest.mark.alone  # client and endpoint share real time: it must not be scarce

SHORT = ("--soak-s", "0.3", "--soak-requests", "6", "--concurrency", "2")
SLO = ("--slo", "ttft_p95<=9s,success>=99%")


def limit(answer: object, *options: str, path: str = "") -> int:
    def paced(heard: Heard) -> object:
        return answer(heard)  # type: ignore[operator]

    with foreign(paced) as endpoint:
        return main(["limit", "--host", endpoint.url + path, *SHORT, *SLO, *options])


def answering(told: object) -> object:
    return lambda heard: told if heard.method == "POST" else plain(heard)


def test_an_endpoint_that_is_no_sluice_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert limit(plain, "--scenario", "smoke", path="/team-a/openai") == 0
    told = capsys.readouterr().out
    assert told.startswith("SLO met at 2 concurrent users of smoke")
    assert "answers came without usage: their tokens are estimates" in told


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (WORD + b'data: {"error":{"message":"boom","code":500}}\n\n', "500 6 (boom)"),
        (WORD + WORD, "cut_off 6"),
        (b'{"detail":"no such user"}', "no such user 6"),
        (b"<html><title>Sign in</title></html>", "not_a_stream 6 (Sign in)"),
        (WORD + LAST.replace(b"stop", b"abort"), "finish_abort 6"),
    ],
)
def test_without_success_the_verdict_says_why(
    told: bytes, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limit(answering(told), "--scenario", "smoke", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["rounds"][-1]["outcomes"]["answered"] == 0
    reason, _, words = why.partition(" 6")
    assert f"; why: {reason} " in found["sentence"]
    assert words in found["sentence"]


def test_a_wrong_key_is_said_in_the_servers_words(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(heard: Heard) -> object:
        error = {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}
        return web.json_response(error, status=401) if heard.method == "POST" else plain(heard)

    assert limit(answer, "--scenario", "smoke") == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "why: invalid_api_key" in told
    assert "(Incorrect API key)" in told


def test_of_several_models_one_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert limit(several, "--scenario", "smoke") == 2
    assert "say which with --model: a, b" in capsys.readouterr().err
    asked: set[str] = set()

    def answer(heard: Heard) -> object:
        if heard.body and "stream" in heard.body:
            asked.add(heard.body["model"])
        return several(heard)

    assert limit(answer, "--scenario", "smoke", "--model", "b") == 0
    assert asked == {"b"}


def test_a_file_of_prompts_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('"one"\n{"turns": ["two", "three"]}\n')
    asked: list[object] = []

    def answer(heard: Heard) -> object:
        if heard.body and "stream" in heard.body:
            asked.append([each["content"] for each in heard.body["messages"]])
            return STREAM
        return plain(heard)

    assert limit(answer, "--prompts", str(path)) == 0
    told = capsys.readouterr()
    assert "2 prompts from mine.jsonl with 3 turns" in told.err
    said = " ".join(told.out.split())
    assert "concurrent users of mine.jsonl" in said
    assert "prompts had been asked before in this run" in said
    assert [each for each in asked if each == ["two", " word word", "three"]]


def test_a_bad_file_of_prompts_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('"one"\n{"prompt": 7}\n')
    assert limit(plain, "--prompts", str(path)) == 2
    assert "mine.jsonl:2: prompt must be a text" in capsys.readouterr().err
