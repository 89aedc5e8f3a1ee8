"""Reserves the ports of one start besides the gateway's own: a range that no other start gets."""

import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass

PORTS = 100  # of one start; more than replicas, since a released port cannot be reused at once
_SINGLE_PORTS = 6  # the first of them; the others are the replicas'
_PORTS_FROM, _PORTS_TO = (
    20_000,
    32_000,
)  # below Linux's ephemeral ports, which Ray's own servers use


@dataclass(frozen=True, slots=True)
class Ports:
    """All on loopback; `last` is the replicas'."""

    claim: int  # bound as long as the start lives, not used otherwise
    haproxy_stats: int
    haproxy_metrics: int
    fallback_proxy: int
    ray_autoscaler: int
    ray_dashboard: int
    replicas: int  # from this one on
    last: int


def claim_ports() -> tuple[Ports, socket.socket]:
    """A free range, and the socket that reserves it until it is closed.

    Two gateways must not share one: a HAProxy that has not yet heard of a dead replica would send
    its requests to the new owner of the port. The ports are bound 10 to 40 s after the choice. So
    the first port of the range is bound at once: Linux gives it to one process only, and frees it
    however that ends. Raises OSError if every range is taken.
    """
    ranges = list(range(_PORTS_FROM, _PORTS_TO, PORTS))
    random.shuffle(ranges)
    for first in ranges:
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
            continue
        if _free(first + 1, first + _SINGLE_PORTS + 1):
            return _ports(first), claim
        claim.close()
    raise OSError(f"no range of {PORTS} ports between {_PORTS_FROM} and {_PORTS_TO} is free")


def _ports(first: int) -> Ports:
    claim, stats, metrics, fallback, autoscaler, dashboard = range(first, first + _SINGLE_PORTS)
    replicas, last = first + _SINGLE_PORTS, first + PORTS - 1
    return Ports(claim, stats, metrics, fallback, autoscaler, dashboard, replicas, last)


def _free(first: int, end: int) -> bool:
    with ExitStack() as held:
        try:
            for port in range(first, end):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
