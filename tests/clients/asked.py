"""Each client program run against a gateway: what it printed, and what the access log says of it.

Every client has a key, and so a tenant, of its own: attempts and answers that were left are counted
in the access log, not believed.
"""

import hashlib
import http.client
import itertools
import json
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from tests.clients.installed import CLIENTS, Client
from tests.environments import MissingError
from tests.live.ask import GONE_S, nothing_held
from tests.live.clients import GOOD, MODEL, TIMEOUT_S
from tests.live.gateway import Gateway, wait_until

CASES = ("plain", "stream", "usage", "tool", "structured", "refused", "wrong_key", "abort")
ADMIN = "sk-operations"
RETRIES = 1  # as the programs set it
_AT_ONCE = 4  # starting one is a core's work for seconds
_MOST_S = 400.0  # of one program


@dataclass(frozen=True)
class Came:
    """What came of one case; `ok`: what was to come."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Row:
    """One client: its cases, or why it was skipped."""

    client: Client
    cases: Mapping[str, Came]
    skipped: str | None = None

    @property
    def wrong(self) -> list[str]:
        """Cases that did not go right, one line each."""
        came = {name: self.cases.get(name, Came(ok=False, text="not run")) for name in CASES}
        return [f"{self.client.name} {name}: {c.text}" for name, c in came.items() if not c.ok]


def key_of(client: Client) -> str:
    """Its API key."""
    return f"sk-{client.name}"


def profile(folder: Path) -> dict[str, Any]:
    """What a profile is changed by, so that a gateway can be asked: keys, log, patience."""
    entries = [_entry("operations", ADMIN), *(_entry(each.name, key_of(each)) for each in CLIENTS)]
    (folder / "keys.yaml").write_text(yaml.safe_dump(entries))
    return {
        "access": {"api_keys_file": str(folder / "keys.yaml")},
        "telemetry": {"access_log": str(folder / "access.jsonl")},
        "admission": {"ttft_deadline_s": 120},  # several programs start on the engine's cores
    }


def _entry(tenant: str, key: str) -> dict[str, Any]:
    """A line of the keys file: a key for each client, whose tenant has the client's name."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {
        "tenant": tenant,
        "priority": "normal",
        "admin": key == ADMIN,
        "key_sha256": digest,
    }


def ask(gateway: Gateway, clients: Sequence[Client] = CLIENTS) -> list[Row]:
    """Installs what is missing and runs the programs, some at once; in the order of `clients`.

    `gateway` has what `profile` changes. Returns when nothing is held there any more.
    """
    commands = {client.name: _command(client) for client in clients}

    def row(client: Client) -> Row:
        command = commands[client.name]
        if isinstance(command, MissingError):
            return Row(client, {}, skipped=str(command))
        return Row(client, _run([*command, gateway.url, MODEL, key_of(client)]))

    with _busy(gateway.port), ThreadPoolExecutor(_AT_ONCE) as threads:
        rows = list(threads.map(row, clients))
    wait_until(lambda: nothing_held(gateway, key=ADMIN), within_s=GONE_S)
    log = yaml.safe_load(gateway.profile.read_text())["telemetry"]["access_log"]
    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    return [judged(row, lines) for row in rows]


@contextmanager
def _busy(port: int) -> Iterator[None]:
    """A stream runs meanwhile: an idle engine that is hardly measured refuses nobody by time."""
    left = threading.Event()
    begun = threading.Event()
    fields = {"max_tokens": 7000, "stream": True, "ignore_eos": True}
    body = json.dumps({**GOOD["/v1/chat/completions"], **fields})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"}

    def read() -> None:
        with closing(
            http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        ) as connection:
            connection.request("POST", "/v1/chat/completions", body, headers)
            for _ in connection.getresponse():
                begun.set()
                if left.is_set():
                    return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert begun.wait(TIMEOUT_S)
        yield
    finally:
        left.set()
        thread.join()


def _command(client: Client) -> list[str] | MissingError:
    try:
        return client.command()
    except MissingError as missing:
        return missing


def _run(command: Sequence[str]) -> dict[str, Came]:
    done = subprocess.run(  # noqa: S603 - our own programs
        command, capture_output=True, text=True, timeout=_MOST_S, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"case"')]
    came = {line["case"]: Came(line["ok"], json.dumps(line["came"])) for line in lines}
    return came or {"plain": Came(ok=False, text=done.stderr[-2000:])}


def judged(row: Row, log: Iterable[Mapping[str, Any]]) -> Row:
    """`row` with what only the gateway knows: attempts of the refused call, and the left stream."""
    if row.skipped is not None:
        return row
    own = [line for line in log if line["tenant"] == row.client.name]
    refusals = [line["at"] for line in own if line["status"] == HTTPStatus.TOO_MANY_REQUESTS]
    refused, abort = row.cases.get("refused"), row.cases.get("abort")
    cases = dict(row.cases)
    if refused is not None:
        cases["refused"] = Came(
            refused.ok and len(refusals) == 1 + RETRIES, f"{refused.text}, {_waits(refusals)}"
        )
    if abort is not None:
        left = any(line.get("client_left") for line in own)
        told = "left" if left else "ran to its end"
        cases["abort"] = Came(abort.ok and left, told if abort.ok else f"{abort.text}, {told}")
    return Row(row.client, cases)


def _waits(at: Sequence[str]) -> str:
    """Of moments as the access log has them: "2 attempts, 4.1 s apart"."""
    moments = sorted(datetime.fromisoformat(each) for each in at)
    gaps = [
        f"{(later - earlier).total_seconds():.1f} s"
        for earlier, later in itertools.pairwise(moments)
    ]
    return f"{len(at)} attempts" + (f", {' and '.join(gaps)} apart" if gaps else "")
