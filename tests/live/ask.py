"""Questions to a running gateway whose answers are plain values."""

import http.client
import json
from typing import Any

from tests.live.gateway import Gateway

_TIMEOUT_S = 30.0


def body_of(gateway: Gateway, path: str) -> bytes:
    """What GET `path` answers."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def state_of(gateway: Gateway) -> dict[str, Any]:
    """GET /v1/admission/state."""
    state: dict[str, Any] = json.loads(body_of(gateway, "/v1/admission/state"))
    return state


def metric(gateway: Gateway, name: str) -> float:
    """Sum of a metric's samples, over all labels."""
    lines = body_of(gateway, "/metrics").decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def nothing_held(gateway: Gateway) -> bool:
    """No lease, no block, no promise, no sequence in the engine."""
    state = state_of(gateway)
    held = state["kv"]["held_blocks"] + state["kv"]["projected_peak_blocks"]
    return not (held or state["leases"] or state["unfinished_sequences"])
