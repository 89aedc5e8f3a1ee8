"""Plays one fault in one state, and holds what happened against the bounds of the fault."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.bench.faults.catalogue import Fault, told
from tests.bench.faults.load import End, Load, Request
from tests.live.ask import nothing_held, state_of
from tests.live.clients import GOOD
from tests.live.gateway import Gateway, serve, wait_until, write_profile

CHAT = "/v1/chat/completions"
HELD_S = 5.0
_PROBE_S = 0.5
_GONE_S = 30.0  # until nothing of a gateway that ended is left
_ENDS_S = 120.0  # until a gateway that ends by itself has ended: drain included
PROFILE: dict[str, dict[str, Any]] = {
    "engine": {"kind": "simulated", "hang_after_s": 5, "replace_after_s": 15},
    "engine_args": {
        "max_model_len": 2048,
        "block_size": 16,
        "kv_cache_memory_bytes": 443_105_280,  # 601 blocks x 16 tokens x 46,080 bytes
        "max_num_seqs": 9,
        "max_num_batched_tokens": 1024,
        "async_scheduling": True,
    },
    "step_time": {"fixed_s": 0.02},
    "simulation": {"speed": 1.0},
    "admission": {"ttft_grace_s": 10},
    "http": {"drain_timeout_s": 40},
    "telemetry": {"access_log": None},
}


class State(StrEnum):
    """What the gateway does when the fault strikes; `busy` is queued and streaming at once."""

    IDLE = "idle"
    BUSY = "busy"


@dataclass(slots=True)
class Row:
    """What one play came to; `failures` is empty when every bound was kept."""

    fault: str
    state: State
    running: Counter[str] = field(default_factory=Counter)  # by how they ended
    queued: Counter[str] = field(default_factory=Counter)
    callers: Counter[str] = field(default_factory=Counter)  # new ones, twice a second
    back_s: float | None = None
    exit_code: int | None = None
    failures: list[str] = field(default_factory=list)


class Probes:
    """New callers, one after the other, until told to stop: (seconds since the fault, heard)."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[float, str]] = []
        self._port = port
        self._began_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self._thread.start()

    def served_since(self, at_s: float) -> float | None:
        """When the first caller after `at_s` was served that no failure followed."""
        later = [each for each in self.heard if each[0] >= at_s]
        failed = [at for at, what in later if what != "served"]
        served = [at for at, what in later if what == "served" and at > max(failed, default=-1.0)]
        return served[0] if served else None

    def end(self) -> None:
        """No more callers."""
        self._stop.set()
        self._thread.join(15.0)

    def elapsed_s(self) -> float:
        """Since the fault."""
        return time.monotonic() - self._began_s

    def _ask_on(self) -> None:
        while not self._stop.wait(_PROBE_S):
            at_s = self.elapsed_s()
            self.heard.append((at_s, _ask(self._port)))


def _ask(port: int) -> str:
    """`served`, the code of a refusal, `refused connection`, `cut` or `wrong ...`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40.0)
    body = json.dumps({**GOOD[CHAT], "max_tokens": 1})
    headers = {"Content-Type": "application/json", "x-slo-ttft-ms": "20000"}
    try:
        connection.request("POST", CHAT, body, headers)
        response = connection.getresponse()
        text = response.read()
        if response.status == http.client.OK:
            return "served"
        return str(json.loads(text)["error"]["code"])
    except ConnectionRefusedError:
        return "refused connection"
    except (OSError, http.client.HTTPException) as error:
        return "cut" if not isinstance(error, TimeoutError) else "wrong: no answer in 40 s"
    except (ValueError, KeyError, TypeError):
        return f"wrong: {response.status} {text[:40]!r}"
    finally:
        connection.close()


def begin(folder: Path, port: int, **admission: float) -> Gateway:
    """A gateway of the matrix's profile that has answered: a first step may take a minute.

    `admission` changes keys of that section.
    """
    changed = PROFILE | {"admission": PROFILE["admission"] | admission}
    gateway = serve(write_profile(folder, **changed), port=port, folder=folder)
    gateway.wait_until_ready()
    assert _ask(port) == "served"
    return gateway


def play(gateway: Gateway, fault: Fault, state: State) -> Row:
    """Returns when the gateway serves again or has ended, and every request has its end."""
    row = Row(fault.name, state)
    load = _busy(gateway) if state is State.BUSY else None
    probes = Probes(gateway.port)
    fault.inflict(gateway)
    struck_s = probes.elapsed_s()
    if fault.exit_code is None:
        _watch_return(gateway, fault, probes, struck_s, row)
    else:
        _watch_end(gateway, fault, row)
    probes.end()
    row.callers = Counter(what for _, what in probes.heard)
    if load is not None:
        _count(load.outcomes(), fault, row)
    _judge_callers(probes.heard, fault, row)
    if fault.exit_code is None and not row.failures:
        _judge_held(gateway, row)
    if fault.said and not told(gateway, fault.said):
        row.failures.append(f"nothing says {fault.said!r}")
    return row


def _busy(gateway: Gateway) -> Load:
    load = Load(gateway.url)

    def under_way() -> bool:
        state = state_of(gateway)
        streams = sum(request.first_byte for request in load.requests)
        return bool(state["queue"]["requests"]) and state["leases"] >= 9 and streams >= 5

    wait_until(under_way, within_s=30.0, what=lambda: str(state_of(gateway)))
    load.strike()
    return load


def _watch_return(
    gateway: Gateway, fault: Fault, probes: Probes, struck_s: float, row: Row
) -> None:
    end_s = struck_s + fault.watch_s + fault.back_s + 60.0

    def settled() -> bool:
        now_s = probes.elapsed_s()
        if now_s > end_s or gateway.process.poll() is not None:
            return True
        return now_s > struck_s + fault.watch_s and probes.served_since(struck_s) is not None

    while not settled():
        time.sleep(_PROBE_S)
    if gateway.process.poll() is not None:
        row.failures.append(f"ended with {gateway.process.returncode}")
        return
    served_s = probes.served_since(struck_s)
    if served_s is None:
        row.failures.append(f"not back within {end_s - struck_s:.0f} s")
        return
    row.back_s = served_s - struck_s
    if row.back_s > fault.back_s:
        row.failures.append(f"back only after {row.back_s:.0f} s")


def _watch_end(gateway: Gateway, fault: Fault, row: Row) -> None:
    try:
        row.exit_code = gateway.process.wait(_ENDS_S)
    except Exception:  # noqa: BLE001 - whatever it was, it has not ended
        row.failures.append(f"has not ended within {_ENDS_S:.0f} s")
        return
    if row.exit_code != fault.exit_code:
        row.failures.append(f"ended with {row.exit_code}")
    end_s = time.monotonic() + _GONE_S
    while gateway.living() and time.monotonic() < end_s:
        time.sleep(_PROBE_S)
    if left := gateway.living():
        row.failures.append(f"{len(left)} processes left")


def _count(requests: Iterable[Request], fault: Fault, row: Row) -> None:
    for request in requests:
        end = request.end or End.ENDLESS
        words = f"{end} {request.told}" if end is End.REFUSED else str(end)
        (row.running if request.begun else row.queued)[words] += 1
        if end in (End.ENDLESS, End.WRONG) or (end is End.CUT and not fault.cuts):
            row.failures.append(f"a request ended {end}: {request.told}")
        if fault.exit_code == 0 and not fault.cuts and request.begun and end is not End.COMPLETE:
            row.failures.append(f"a drain ended a running request: {end} {request.told}")
        harmless = not (fault.cuts or fault.outage or fault.exit_code is not None)
        if harmless and end is not End.COMPLETE:
            row.failures.append(f"a request was lost: {end} {request.told}")


def _judge_callers(heard: list[tuple[float, str]], fault: Fault, row: Row) -> None:
    """Only documented refusals; refused connections for as long as the fault may take them."""
    allowed = {"served"} | ({"slots", "ttft_slo"} if row.state is State.BUSY else set())
    if fault.outage:
        allowed |= {"engine_down", "ttft_slo", "cut"} if fault.cuts else {"engine_down", "ttft_slo"}
    if fault.exit_code is not None:
        allowed |= {"draining", "engine_down", "refused connection", "cut"}
    unreachable = [at for at, what in heard if what in ("refused connection", "cut")]
    if fault.silent_callers_s:
        allowed |= {"refused connection", "cut", "engine_down"}
        if unreachable and unreachable[-1] - unreachable[0] > fault.silent_callers_s:
            row.failures.append(f"unreachable for {unreachable[-1] - unreachable[0]:.0f} s")
    for what in {what for _, what in heard} - allowed:
        row.failures.append(f"a new caller heard {what}")


def _judge_held(gateway: Gateway, row: Row) -> None:
    end_s = time.monotonic() + HELD_S
    while not nothing_held(gateway):
        if time.monotonic() > end_s:
            row.failures.append(f"held after {HELD_S:.0f} s: {state_of(gateway)['kv']}")
            return
        time.sleep(_PROBE_S)
