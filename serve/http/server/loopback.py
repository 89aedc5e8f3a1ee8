"""A replica's inner ports stay on this machine, where Ray itself does.

Behind HAProxy its own HTTP port listens on the host that the gateway is told, and the port on which
replicas hear each other on all interfaces, unguarded by Ray's token. Serve has no setting for
either, so the two functions that open them are replaced before it calls them.
`tests/live/test_process.py` looks at what listens. (Serve's fallback proxy stays where the gateway
is, since its class travels by value: all it ever answers is our 503.)
"""

from typing import Any

import ray

from serve.profile.settings import is_loopback


def stay(replica: Any) -> None:
    """Makes Serve's module `replica` open its ports on Ray's own address.

    Does nothing where Ray runs on more than this machine: there HAProxy comes from others.
    """
    here = ray.util.get_node_ip_address()
    if not is_loopback(here):
        return
    start_http, add_port = replica.start_asgi_http_server, replica.add_port_to_grpc_server

    def on_loopback(app: Any, options: Any, **rest: Any) -> Any:
        return start_http(app, options.model_copy(update={"host": here}), **rest)

    replica.start_asgi_http_server = on_loopback
    replica.add_port_to_grpc_server = lambda server, _: add_port(server, f"{here}:0")
