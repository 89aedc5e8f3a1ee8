"""Serve's inner ports stay on this machine, where Ray itself does.

Behind HAProxy the replicas' own HTTP ports and the fallback proxy listen on the host that the
gateway is told, and the port on which replicas hear each other on all interfaces, unguarded by
Ray's token. Serve has no setting for either, so the two functions that open ports are replaced in
the process that is about to call them. `tests/live/test_process.py` looks at what listens.
"""

from typing import Any

import ray

from serve.profile.settings import is_loopback


def stay(module: Any) -> None:
    """Makes Serve's `replica` or `proxy` module open its ports on Ray's own address.

    Does nothing where Ray runs on more than this machine: there HAProxy comes from others.
    """
    here = ray.util.get_node_ip_address()
    if not is_loopback(here):
        return
    start_http = module.start_asgi_http_server

    def on_loopback(app: Any, options: Any, **rest: Any) -> Any:
        return start_http(app, options.model_copy(update={"host": here}), **rest)

    module.start_asgi_http_server = on_loopback
    if hasattr(module, "add_port_to_grpc_server"):  # replicas only
        add_port = module.add_port_to_grpc_server
        module.add_port_to_grpc_server = lambda server, _: add_port(server, f"{here}:0")
