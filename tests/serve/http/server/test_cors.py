"""Pages in browsers: which may read the gateway's answers, and what of them."""

from argparse import Namespace
from typing import Any

import pytest

from admission.terms.decision import Reason, Rejected
from serve.http.server.cors import EXPOSED, with_cors
from tests.fakes import Exchange, House, house

PAGE = "https://ui.example"


def args(*origins: str) -> Namespace:
    return Namespace(
        allowed_origins=list(origins),
        allow_credentials=False,
        allowed_methods=["*"],
        allowed_headers=["*"],
    )


async def ask(at: House, *origins: str, path: str = "/v1/chat/completions", **more: Any) -> Any:
    exchange = Exchange(more.pop("method", "POST"), path, {"origin": PAGE, **more})
    exchange.give(b'{"model": "m", "messages": []}')
    for _ in range(3):
        at.app.tokens.release()
    await exchange.begin(with_cors(at.edge, args(*origins))).end()
    return exchange


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/nowhere", "/v1/admission/state"])
async def test_every_answer_is_readable_refusals_and_errors_too(path: str) -> None:
    at = house()
    at.gate.refusal = Rejected(Reason.SLOTS, "full", retry_after_s=1.0)
    headers = (await ask(at, PAGE, path=path)).answer_headers
    assert headers["access-control-allow-origin"] == PAGE
    exposed = headers["access-control-expose-headers"].split(", ")
    assert set(exposed) >= {"retry-after", "retry-after-ms", "x-should-retry", "x-request-id"}


async def test_what_an_answer_carries_is_exposed() -> None:
    at = house()
    at.gate.refusal = Rejected(Reason.SLOTS, "full", retry_after_s=1.0)
    headers = (await ask(at, PAGE)).answer_headers
    ours = {name for name in headers if not name.startswith(("access-control", "content-", "vary"))}
    assert ours <= set(EXPOSED)


@pytest.mark.parametrize("origins", [[], ["https://other.example"]])
async def test_other_pages_may_read_nothing(origins: list[str]) -> None:
    headers = (await ask(house(), *origins)).answer_headers
    assert "access-control-allow-origin" not in headers


async def test_a_preflight_is_answered_without_a_key() -> None:
    more = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    done = await ask(house(), PAGE, method="OPTIONS", **more)
    assert done.status == 200
    assert "authorization" in done.answer_headers["access-control-allow-headers"].lower()
