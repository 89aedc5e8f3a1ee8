"""Two engines behind one endpoint: one truth for operators, and a second choice for requests."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.live.ask import body_of, state_of
from tests.live.clients import MODEL, Answer, send
from tests.live.conftest import OneAtATime
from tests.live.gateway import Gateway, wait_until
from tests.live.process.test_faults import BACK_S, PROFILE

TWO: dict[str, Any] = PROFILE | {"engine": {"kind": "simulated", "replicas": 2}}
SETTINGS = "/v1/admission/settings"
REPLICA = "ray::ServeReplica"


@pytest.fixture
def two(gateway_of: OneAtATime) -> Gateway:
    gateway = gateway_of(**TWO)
    wait_until(lambda: len(replicas(gateway)) == 2, within_s=BACK_S)
    return gateway


def replicas(gateway: Gateway) -> list[str]:
    told = state_of(gateway).get("replicas")
    return sorted(told) if isinstance(told, dict) else []


def answers(gateway: Gateway, count: int, *, tokens: int) -> list[Answer]:
    """Not streamed: no byte before the end."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": tokens,
        "ignore_eos": True,
    }
    with ThreadPoolExecutor(count) as pool:
        asked = [
            pool.submit(send, gateway, "POST", "/v1/chat/completions", body) for _ in range(count)
        ]
        return [each.result() for each in asked]


def test_every_replica_is_in_the_state_and_in_one_scrape(two: Gateway) -> None:
    names = replicas(two)
    state = state_of(two)
    assert state["missing"] == {"count": 0, "replicas": []}
    assert state["fleet"]["kv_capacity_blocks"] == 2 * 599  # one of 600 is vLLM's own
    page = body_of(two, "/metrics").decode()
    for name in names:
        assert f'replica="{name}"' in page
        assert state_of_one(two, name)["replica"] == name


def state_of_one(gateway: Gateway, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(body_of(gateway, f"/v1/admission/state?replica={name}"))
    return told


def test_settings_change_in_both(two: Gateway) -> None:
    present = json.loads(body_of(two, SETTINGS))
    done = send(two, "PUT", SETTINGS, present | {"ttft_grace_s": 29}, {"if-match": "*"})
    assert done.status == 200, done.body
    hashes = {each["config"]["hash"] for each in state_of(two)["replicas"].values()}
    assert hashes == {done.document["hash"]}


def test_while_one_drains_the_other_serves_everybody(two: Gateway) -> None:
    drained, other = replicas(two)
    assert send(two, "POST", f"/v1/admission/drain?replica={drained}").status == 202
    told = [each for _ in range(5) for each in answers(two, 4, tokens=2)]
    assert {each.status for each in told} == {200}
    assert state_of_one(two, drained)["draining"]
    assert not state_of_one(two, other)["draining"]
    assert send(two, "POST", "/v1/admission/resume").status == 200
    assert not any(each["draining"] for each in state_of(two)["replicas"].values())


def test_a_killed_replica_costs_those_without_a_byte_a_second_choice(two: Gateway) -> None:
    victim = two.find(REPLICA)[0]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(answers, two, 8, tokens=200)  # four seconds
        wait_until(lambda: leases(two) == 8, within_s=30)
        os.kill(victim, signal.SIGKILL)
        told = asked.result()
    assert [each.status for each in told] == [200] * 8
    wait_until(lambda: len(replicas(two)) == 2, within_s=BACK_S)
    for name in replicas(two):
        wait_until(lambda name=name: nothing_held_by(two, name), within_s=30)


def leases(gateway: Gateway) -> int:
    return int(state_of(gateway)["fleet"]["leases"])


def nothing_held_by(gateway: Gateway, name: str) -> bool:
    state = state_of_one(gateway, name)
    return not (state["leases"] or state["kv"]["held_blocks"] or state["unfinished_sequences"])
