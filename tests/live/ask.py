"""Questions to a running gateway whose answers are plain values.

`key` is an administrator's API key, where keys are configured.
"""

import http.client
import json
from typing import Any

from tests.live.gateway import Gateway

GONE_S = 10.0  # promised are 2 s, held in test_storms.py; here the machine may be busy
_TIMEOUT_S = 30.0


def body_of(gateway: Gateway, path: str, *, key: str | None = None) -> bytes:
    """What GET `path` answers."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read()
    finally:
        connection.close()


def state_of(gateway: Gateway, *, key: str | None = None) -> dict[str, Any]:
    """GET /v1/admission/state."""
    state: dict[str, Any] = json.loads(body_of(gateway, "/v1/admission/state", key=key))
    return state


def metric(gateway: Gateway, name: str, *, key: str | None = None) -> float:
    """Sum of a metric's samples, over all labels."""
    lines = body_of(gateway, "/metrics", key=key).decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def nothing_held(gateway: Gateway, *, key: str | None = None) -> bool:
    """No lease, no block, no promise, no sequence in the engine, no request in the queue."""
    state = state_of(gateway, key=key)
    held = state["kv"]["held_blocks"] + state["kv"]["projected_peak_blocks"]
    waiting = state["queue"]["requests"]
    return not (held or waiting or state["leases"] or state["unfinished_sequences"])
