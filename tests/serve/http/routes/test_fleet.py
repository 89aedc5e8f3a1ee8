"""Our own routes with several replicas: one asks all, each answers under its name."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.http.routes.exchange import OwnResponse
from serve.http.routes.exposition import merged
from serve.profile.settings import parse_admission
from tests.fakes import FakePeers, fleet, house

STATE, DRAIN, SETTINGS = "/v1/admission/state", "/v1/admission/drain", "/v1/admission/settings"
OTHER = parse_admission({"kv_headroom_ratio": 0.1})


async def got(
    peers: FakePeers, path: str, method: str = "GET", document: object = None, **more: Any
) -> tuple[int | None, Any]:
    done = await peers.houses[0].ask(path, document, method=method, **more)
    return done.status, done.answer_json


def states(peers: FakePeers, leases: int) -> None:
    for place, each in enumerate(peers.houses):
        each.gate.told = {
            "leases": leases + place,
            "sequences": {"held": 2, "limit": 8},
            "kv": {"capacity_blocks": 100, "held_blocks": 10},
            "prefill_backlog_tokens": 5,
            "queue": {"requests": 1, "tokens": 50},
        }


async def test_a_gateway_of_one_answers_as_it_is() -> None:
    done = await house().ask(STATE, method="GET")
    assert "fleet" not in done.answer_json


async def test_the_state_is_that_of_all_with_sums() -> None:
    peers = fleet("abc")
    states(peers, 3)
    status, told = await got(peers, STATE)
    assert status == 200
    assert set(told["replicas"]) == {"a", "b", "c"}
    assert told["fleet"]["replicas"] == 3
    assert told["fleet"]["leases"] == 3 + 4 + 5
    assert told["fleet"]["kv_capacity_blocks"] == 300
    assert told["missing"] == {"count": 0, "replicas": []}


async def test_one_replica_is_asked_by_its_name() -> None:
    peers = fleet("ab")
    states(peers, 3)
    for name, leases in (("a", 3), ("b", 4)):
        status, told = await got(peers, STATE, query=f"replica={name}")
        assert (status, told["leases"]) == (200, leases)
    status, told = await got(peers, STATE, query="replica=z")
    assert status == 400
    assert "known are a, b" in told["error"]["message"]


async def test_alone_another_name_is_not_found() -> None:
    done = await house().ask(STATE, method="GET", query="replica=z")
    assert done.status == 400


async def test_who_does_not_answer_is_named_once_it_is_known() -> None:
    peers = fleet("abc")
    states(peers, 0)
    peers.silent = {"c"}
    _, told = await got(peers, STATE)
    assert told["missing"] == {"count": 1, "replicas": []}
    peers.silent = set()
    await got(peers, STATE)
    peers.silent = {"c"}
    _, told = await got(peers, STATE)
    assert told["missing"] == {"count": 1, "replicas": ["c"]}
    assert set(told["replicas"]) == {"a", "b"}


@pytest.mark.parametrize("path", [STATE, SETTINGS, "/metrics"])
async def test_where_nobody_answers_in_time_this_replica_does(path: str) -> None:
    peers = fleet("ab")
    states(peers, 3)
    peers.silent = {"a", "b"}
    done = await peers.houses[0].ask(path, method="GET")
    assert done.status == 200
    if path == STATE:
        assert set(done.answer_json["replicas"]) == {"a"}
        assert done.answer_json["missing"]["count"] == 1


async def test_a_drain_is_of_all_or_of_one() -> None:
    peers = fleet("ab")
    status, told = await got(peers, DRAIN, "POST")
    assert (status, told["status"]) == (202, "draining")
    assert all(each.gate.draining for each in peers.houses)
    await got(peers, "/v1/admission/resume", "POST", query="replica=b")
    assert [each.gate.draining for each in peers.houses] == [True, False]


async def test_settings_change_in_all_replicas() -> None:
    peers = fleet("ab")
    status, told = await got(peers, SETTINGS, "PUT", OTHER.mapping(), headers={"if-match": "*"})
    assert status == 200
    assert told["hash"] == OTHER.hash()
    assert set(told["replicas"]) == {"a", "b"}
    assert {each.operations.section.hash() for each in peers.houses} == {OTHER.hash()}
    stale = {"if-match": '"0123456789ab"'}
    status, _ = await got(peers, SETTINGS, "PUT", OTHER.mapping(), headers=stale)
    assert status == 412


@pytest.mark.parametrize("path", [SETTINGS, f"{SETTINGS}/rollback", "/v1/admission/keys/reload"])
async def test_no_replica_is_changed_while_one_is_missing(path: str) -> None:
    peers = fleet("ab")
    peers.silent = {"b"}
    method = "PUT" if path == SETTINGS else "POST"
    document = OTHER.mapping() if path == SETTINGS else {}
    status, told = await got(peers, path, method, document, headers={"if-match": "*"})
    assert (status, told["error"]["code"]) == (503, "replicas_missing")
    assert all(not each.gate.sections for each in peers.houses)


async def test_replicas_that_differ_are_changed_one_by_one() -> None:
    peers = fleet("ab")
    headers = {"if-match": "*"}
    status, _ = await got(
        peers, SETTINGS, "PUT", OTHER.mapping(), headers=headers, query="replica=b"
    )
    assert status == 200
    assert [each.operations.section == OTHER for each in peers.houses] == [False, True]
    status, told = await got(peers, SETTINGS, "PUT", OTHER.mapping(), headers=headers)
    assert (status, told["error"]["code"]) == (409, "settings_differ")


async def test_metrics_of_all_are_one_page_with_a_label() -> None:
    peers = fleet("ab")
    done = await peers.houses[0].ask("/metrics", method="GET")
    families = {
        each.name: each for each in text_string_to_metric_families(done.answer_body.decode())
    }
    samples = [s for family in families.values() for s in family.samples]
    assert samples
    assert {sample.labels["replica"] for sample in samples} == {"a", "b"}
    one = await peers.houses[0].ask("/metrics", method="GET", query="replica=b")
    assert b'replica="' not in one.answer_body


@pytest.mark.parametrize(
    ("line", "labelled"),
    [
        ("up 1.0", 'up{replica="r"} 1.0'),
        ('up{a="b"} 1.0 1700', 'up{replica="r",a="b"} 1.0 1700'),
        ("up{} 1", 'up{replica="r"} 1'),
        (
            'vllm:x_bucket{le="0.1"} 3 # {trace_id="a b"} 0.05',
            'vllm:x_bucket{replica="r",le="0.1"} 3 # {trace_id="a b"} 0.05',
        ),
        ('weird{text="a} b{"} 1', 'weird{replica="r",text="a} b{"} 1'),
    ],
)
def test_a_sample_gets_its_label(line: str, labelled: str) -> None:
    page = OwnResponse(f"# TYPE up gauge\n{line}\n".encode(), content_type="text/plain")
    assert merged({"r": page}).body.decode().splitlines()[1] == labelled


def test_comments_come_once_and_openmetrics_ends_once() -> None:
    text = b"# HELP up It is.\n# TYPE up gauge\nup 1\n# EOF\n"
    kind = "application/openmetrics-text; version=1.0.0"
    page = merged({name: OwnResponse(text, content_type=kind) for name in "ab"})
    assert page.body.decode().splitlines() == [
        "# HELP up It is.",
        "# TYPE up gauge",
        'up{replica="a"} 1',
        'up{replica="b"} 1',
        "# EOF",
    ]
