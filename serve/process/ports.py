"""Ports of one start besides the gateway's own: a range that no other start takes meanwhile."""

import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass

PORTS = 100  # of one start; never as many replicas, and a released port rests for a while
_SINGLE_PORTS = 6  # the first of them; the others are the replicas'
_PORTS_FROM, _PORTS_TO = 20_000, 32_000  # below what Linux hands out: Ray's own servers take those


@dataclass(frozen=True, slots=True)
class Ports:
    """All on loopback; `last` is the replicas'."""

    claim: int  # bound as long as the start lives, used by nobody
    haproxy_stats: int
    haproxy_metrics: int
    fallback_proxy: int
    ray_autoscaler: int
    ray_dashboard: int
    replicas: int  # from this one on
    last: int


def claim_ports() -> tuple[Ports, socket.socket]:
    """A range that nobody listens in now, and the socket that holds it until it is closed.

    Two gateways must not share one: a HAProxy that has not yet heard of a dead replica would send
    its requests to whoever took the port. What a start needs is bound 10 to 40 s after it chose;
    so it binds the first port of the range at once, and Linux gives that to one process only and
    frees it however the process ends. Raises OSError when every range is taken.
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
