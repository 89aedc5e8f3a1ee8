"""One Ray and one Ray Serve that live as long as one `sluice serve`, on this machine only."""

import contextlib
import http.client
import logging
import os
import resource
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from serve.embedded.model import cache_folder
from serve.process import old_logs, orphans, ray_environment
from serve.process.last_words import cause
from serve.profile.settings import Profile

APPLICATION = "default"
_OBJECT_STORE_BYTES = 80 * 2**20  # Ray's least: nothing of ours goes through it
COULD_NOT_START = "A replica failed to start"  # so begins Serve's message, while it tries again
_CLOSE_TIMEOUT_S = 5.0  # for vLLM to end by itself; then it is ended


class ClusterError(Exception):
    """The gateway cannot start; the message says why and what to change."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one start keeps its files, and the mark of everything that it started."""

    mark: str
    scratch: Path  # private, short path, removed at the end; Ray's own folder is below it
    logs: Path  # in the cache folder; a link into `scratch` while it runs

    @property
    def ray(self) -> Path:
        """Ray opens its folder to everybody on the machine, so it gets one of its own."""
        return self.scratch / "r"


class Phase(Protocol):
    """Told about every step of a start that takes long enough to be waited for."""

    def __call__(self, text: str) -> None: ...


def require_free_port(host: str, port: int) -> None:
    """Raises ClusterError when nobody can listen on `host`:`port`, before anything is started."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as HAProxy does
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise ClusterError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. Is another gateway "
            "running? Choose another port with --port or http.port."
        ) from None


def require_open_files(profile: Profile) -> None:
    """Raises this process's limit of open files, which all children inherit, as far as needed."""
    needed = ray_environment.open_files(profile)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ClusterError(
            f"the line and slots of this profile need {needed} open files, and the limit here is "
            f"{hard}: raise it (`ulimit -Hn`), or lower admission.line.max_requests."
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def take_place() -> Place:
    """Folders and mark of a new start; from here on every child of this process is marked.

    The guard that ends them when this process is killed already runs.
    """
    scratch = Path(tempfile.mkdtemp(prefix="sl-", dir="/tmp"))  # private; TMPDIR may be long
    all_logs = cache_folder() / "logs"
    all_logs.mkdir(parents=True, exist_ok=True)
    old_logs.tidy(all_logs, now_s=time.time())
    logs = all_logs / old_logs.name_of(os.getpid())
    place = Place(orphans.mark(orphans.RUN), scratch, logs)
    logs.symlink_to(place.ray / "session_latest" / "logs")
    orphans.guard(place.mark, scratch=scratch, logs=logs)
    return place


def start(profile: Profile, place: Place) -> None:
    """Ray, Serve and HAProxy, listening on the profile's host and port. Takes 10 to 40 s."""
    token = place.scratch / "ray-token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    os.environ.update(
        ray_environment.of_one_machine(
            profile, folder=place.scratch, ports=ray_environment.free_ports()
        )
    )
    # Not earlier: Ray reads its environment when it is imported.
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # the terminal is for what we say
    with _told("Ray did not start"):
        _retried(lambda: ray.init(**_ray_options(profile, place)), place)
    _require_gpus(profile, ray.cluster_resources().get("GPU", 0))
    with _told("Ray Serve did not start"):
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": profile.http.host, "port": profile.http.port},
            logging_config={"enable_access_log": False},
        )


def _ray_options(profile: Profile, place: Place) -> dict[str, Any]:
    return {
        "address": "local",  # never a cluster that RAY_ADDRESS names
        "_node_ip_address": "127.0.0.1",
        "num_cpus": profile.engine.replicas * ray_environment.cpus_per_replica(profile),
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "ERROR",
        "object_store_memory": _OBJECT_STORE_BYTES,
        "_temp_dir": str(place.ray),
    }


def _retried(start_ray: Callable[[], object], place: Place) -> None:
    """Ray gives its own agents 15 s, too few for a first start from a slow disk; once more, then.

    What the first attempt left is ended in between.
    """
    try:
        start_ray()
    except Exception:  # noqa: BLE001 - whatever it was, a busy machine is likely the cause
        orphans.end(place.mark, grace_s=1.0)
        start_ray()


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Ray raises many kinds, some with whole tracebacks in their text."""
    try:
        yield
    except Exception as error:
        raise ClusterError(f"{what}: {cause(str(error))}") from error


def _require_gpus(profile: Profile, found: float) -> None:
    """Serve would wait for them for ever."""
    needed = profile.engine.replicas * profile.gpus_per_replica
    if needed > found:
        raise ClusterError(
            f"this profile needs {needed:g} GPUs (engine.replicas x the parallel sizes in "
            f"engine_args), and Ray finds {found:g} here."
        )


def deploy(application: Any) -> None:
    """Hands the application to Serve and returns; `state` tells what becomes of it."""
    from ray import serve  # noqa: PLC0415 - see `start`

    serve.run_many(
        [serve.RunTarget(application, name=APPLICATION)], wait_for_applications_running=False
    )


@dataclass(frozen=True, slots=True)
class State:
    """Of the application as Serve sees it; `message` is Serve's, often with a traceback.

    `failed`: the last replica that was started could not. Before any has run, none can.
    """

    running: bool
    failed: bool
    message: str


def state() -> State:
    """Asks Serve's controller."""
    from ray import serve  # noqa: PLC0415 - see `start`

    application = serve.status().applications[APPLICATION]
    deployments = application.deployments.values()
    messages = [application.message, *(each.message for each in deployments)]
    could_not_start = any(text.startswith(COULD_NOT_START) for text in messages)
    return State(
        running=application.status == "RUNNING",
        failed=application.status == "DEPLOY_FAILED" or could_not_start,
        message=max(messages, key=len, default=""),
    )


def ask(method: str, *, timeout_s: float) -> list[Any]:
    """Calls a method of `Gateway` on every replica and returns their answers."""
    import ray  # noqa: PLC0415 - see `start`
    from ray import serve  # noqa: PLC0415

    if not ray.is_initialized():  # Serve would start one
        raise ClusterError("Ray does not run")
    handle = serve.get_app_handle(APPLICATION)
    return list(handle.broadcast(method).results(timeout_s=timeout_s))


def answers(host: str, port: int) -> bool:
    """Whether GET /health comes back 200 through HAProxy."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    """An address at which a client on this machine finds a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison


def stop(place: Place) -> None:
    """Ends everything, whatever state it is in, and puts the logs away. Seconds."""
    with contextlib.suppress(Exception):  # what does not end by itself is ended below
        ask("close", timeout_s=_CLOSE_TIMEOUT_S)
    if ray := sys.modules.get("ray"):
        with contextlib.suppress(Exception):
            ray.shutdown()
    orphans.end(place.mark, grace_s=3.0)
    orphans.put_away(place.scratch, place.logs)
