"""Tenants with their API keys and their shares of the requests."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tenant:
    """A caller. At the gateway the key decides name and priority; `name` is only for records."""

    name: str
    key: str | None = None
    weight: float = 1.0


def nobody(key: str | None = None) -> tuple[Tenant, ...]:
    """The single tenant used if none are named."""
    return (Tenant("anonymous", key),)


def read_tenants(path: Path) -> tuple[Tenant, ...]:
    """Reads lines of `name key [weight]`, `#` for comments; ValueError names the faulty line."""
    tenants = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if words:
            tenants.append(_tenant(f"{path}:{number}", words))
    if not tenants:
        raise ValueError(f"{path}: no tenant; a line is: NAME KEY [WEIGHT]")
    return tuple(tenants)


def one_greedy(tenants: Sequence[Tenant], times: float) -> tuple[Tenant, ...]:
    """The tenants with the first one's weight raised to `times` that of each other."""
    first, *others = tenants
    return (
        replace(first, weight=times),
        *(replace(each, weight=1.0) for each in others),
    )


def draw(tenants: Sequence[Tenant], rng: random.Random) -> Tenant:
    """A random tenant, by weight."""
    return rng.choices(tenants, weights=[each.weight for each in tenants])[0]


def _tenant(place: str, words: Sequence[str]) -> Tenant:
    try:
        name, key, *rest = words
        weight = float(rest[0]) if rest else 1.0
    except ValueError as problem:
        raise ValueError(f"{place}: {' '.join(words)!r} is not: NAME KEY [WEIGHT]") from problem
    return Tenant(name, key, weight)
