"""The arrivals of an open loop: time, request and tenant, generated lazily. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtests.asking import tenants
from loadtests.asking.arrivals import RateCurve, arrivals, replay
from loadtests.asking.ask import Ask, Scenario, fitted
from loadtests.asking.tenants import Tenant
from loadtests.asking.trace_file import BLOCK_TOKENS, Row


@dataclass(frozen=True, slots=True)
class Arrival:
    """One future request: its time in seconds from the start, its content and its tenant."""

    at_s: float
    ask: Ask
    tenant: Tenant


def drawn(
    curve: RateCurve,
    scenario: Scenario,
    crowd: Sequence[Tenant],
    rng: random.Random,
    *,
    cv: float = 1.0,
) -> Iterator[Arrival]:
    """Arrivals along a rate curve, with requests drawn from the scenario."""
    for at_s in arrivals(curve, rng, cv=cv):
        yield Arrival(at_s, scenario.draw(rng), tenants.draw(crowd, rng))


def replayed(
    rows: Sequence[Row],
    crowd: Sequence[Tenant],
    rng: random.Random,
    *,
    speed: float = 1.0,
    rate: float = 1.0,
    context_tokens: int | None = None,
) -> Iterator[Arrival]:
    """Replays a trace as `arrivals.replay` does. A client of the trace is always the same tenant.

    Requests that exceed `context_tokens` are left out. ValueError if the trace has no times.
    """
    times = [row.at_s for row in rows if row.at_s is not None]
    if len(times) < len(rows):
        raise ValueError("the trace has no timestamp_s: it cannot be replayed")
    begin_s = min(times)
    most = max(row.output_tokens for row in rows)
    of_client: dict[str, Tenant] = {}
    for at_s, index in replay([at_s - begin_s for at_s in times], rng, speed=speed, rate=rate):
        row = rows[index]
        tenant = tenants.draw(crowd, rng)
        if row.client is not None:
            tenant = of_client.setdefault(row.client, tenant)
        ask = fitted(ask_of(row, max_tokens=most), context_tokens)
        if ask is not None:
            yield Arrival(at_s, ask, tenant)


def ask_of(row: Row, *, max_tokens: int) -> Ask:
    """The request of a trace's row. All its blocks but the last are shared pieces, named by id."""
    full = row.blocks[: max(0, (row.prompt_tokens - 1) // BLOCK_TOKENS)]
    return Ask(
        kind="trace",
        prompt_tokens=row.prompt_tokens,
        output_tokens=max(1, row.output_tokens),
        max_tokens=max(1, max_tokens),
        shared=tuple((f"block {block}", BLOCK_TOKENS) for block in full),
    )
