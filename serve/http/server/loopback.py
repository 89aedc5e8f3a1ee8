"""Keeps a replica's inner ports on loopback if Ray itself is on loopback.

Behind HAProxy a replica's HTTP port listens on the gateway's host, and its port for other replicas
on all interfaces, without Ray's token. Serve has no setting for either, so the two functions that
open them are replaced before Serve calls them.
`tests/live/process/test_ends.py` checks what listens. (Serve's fallback proxy stays on the
gateway's host, since its class is pickled by value; it answers nothing but our 503.)
"""

from typing import Any

import ray

from serve.profile.settings import is_loopback


def stay(replica: Any) -> None:
    """Makes Serve's module `replica` open its ports on Ray's own address.

    Does nothing if Ray spans several machines: there HAProxy connects from others.
    """
    here = ray.util.get_node_ip_address()
    if not is_loopback(here):
        return
    start_http, add_port = replica.start_asgi_http_server, replica.add_port_to_grpc_server

    def on_loopback(app: Any, options: Any, **rest: Any) -> Any:
        return start_http(app, options.model_copy(update={"host": here}), **rest)

    replica.start_asgi_http_server = on_loopback
    replica.add_port_to_grpc_server = lambda server, _: add_port(server, f"{here}:0")
