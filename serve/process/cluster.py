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
from serve.process import bounded, old_logs, orphans, ray_environment
from serve.process.last_words import cause
from serve.process.ports import Ports, claim_ports
from serve.profile.settings import Profile

APPLICATION = "default"
_OBJECT_STORE_BYTES = 80 * 2**20  # Ray's minimum: we put nothing there
COULD_NOT_START = "A replica failed to start"  # the beginning of Serve's message between retries
_CLOSE_TIMEOUT_S = 5.0  # for vLLM to end by itself; then it is killed
_SHUTDOWN_TIMEOUT_S = 10.0  # for Ray; then its processes are killed


class ClusterError(Exception):
    """The gateway cannot start; the message says why and what to change."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one start keeps its files, and the mark of everything that it started."""

    mark: str
    scratch: Path  # private, short path, removed at the end; Ray's own folder is below it
    logs: Path  # in the cache folder; a link into `scratch` while it runs
    ports: Ports
    claim: socket.socket  # holds the ports until this process ends, or the place is given up

    @property
    def fault_counts(self) -> Path:
        """How often each part has failed, for replicas to show."""
        return self.scratch / "fault-counts.json"

    @property
    def ray(self) -> Path:
        """Ray makes its folder readable to every user, so it gets one of its own in here."""
        return self.scratch / "r"

    @property
    def haproxy(self) -> Path:
        """HAProxy's files, in one folder below it per Ray node."""
        return self.scratch / "h"


class Phase(Protocol):
    """Called with each step of a start that takes seconds."""

    def __call__(self, text: str) -> None: ...


def require_free_port(host: str, port: int) -> None:
    """Raises ClusterError if `host`:`port` cannot be bound, before anything is started."""
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
    """Raises the limit of open files, which all children inherit, as far as needed."""
    needed = ray_environment.open_files(profile)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ClusterError(
            f"the queue and slots of this profile need {needed} open files, and the limit here is "
            f"{hard}: raise it (`ulimit -Hn`), or lower admission.queue.max_requests."
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def take_place() -> Place:
    """Folders, ports and mark of a new start; every later child of this process carries the mark.

    Starts the guard that ends them if this process is killed. Raises ClusterError.
    """
    try:
        ports, claim = claim_ports()
    except OSError as error:
        raise ClusterError(str(error)) from None
    scratch = Path(tempfile.mkdtemp(prefix="sl-", dir="/tmp"))  # private; TMPDIR may be long
    all_logs = cache_folder() / "logs"
    all_logs.mkdir(parents=True, exist_ok=True)
    old_logs.tidy(all_logs, now_s=time.time())
    logs = all_logs / old_logs.name_of(os.getpid())
    place = Place(orphans.mark(orphans.RUN), scratch, logs, ports, claim)
    logs.symlink_to(place.ray / "session_latest" / "logs")
    orphans.guard(place.mark, scratch=scratch, logs=logs)
    return place


def start(profile: Profile, place: Place) -> None:
    """Starts Ray, Serve and HAProxy on the profile's host and port; takes 5 to 20 s."""
    token = place.scratch / "ray-token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    os.environ.update(
        ray_environment.of_one_machine(profile, folder=place.scratch, ports=place.ports)
    )
    # Not earlier: Ray reads its environment when it is imported.
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # keeps the terminal for our own output
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
    """Tries twice: Ray gives its agents 15 s, too few for a first start from a slow disk.

    Ends what the first attempt left in between.
    """
    try:
        start_ray()
    except Exception:  # noqa: BLE001 - whatever it was, a busy machine is likely the cause
        orphans.end(place.mark, grace_s=1.0)
        start_ray()


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns Ray's many exceptions, some with tracebacks in their text, into ClusterError."""
    try:
        yield
    except Exception as error:
        raise ClusterError(f"{what}: {cause(str(error))}") from error


def _require_gpus(profile: Profile, found: float) -> None:
    """Serve itself would wait for missing GPUs without end."""
    needed = profile.engine.replicas * profile.gpus_per_replica
    if needed > found:
        raise ClusterError(
            f"this profile needs {needed:g} GPUs (engine.replicas x the parallel sizes in "
            f"engine_args), and Ray finds {found:g} here."
        )


def deploy(application: Any) -> None:
    """Hands the application to Serve and returns; `state` reports its progress."""
    from ray import serve  # noqa: PLC0415 - see `start`

    serve.run_many(
        [serve.RunTarget(application, name=APPLICATION)], wait_for_applications_running=False
    )


@dataclass(frozen=True, slots=True)
class State:
    """The application as Serve sees it; `message` is Serve's, often with a traceback.

    `failed`: the last replica did not start. If none has run yet, none ever will.
    """

    running: bool
    failed: bool
    recovering: bool  # a new controller looks for running replicas
    message: str


def state() -> State:
    """Asks Serve's controller; blocks while it hangs: see `looks`."""
    from ray import serve  # noqa: PLC0415 - see `start`

    application = serve.status().applications[APPLICATION]
    deployments = application.deployments.values()
    messages = [application.message, *(each.message for each in deployments)]
    could_not_start = any(text.startswith(COULD_NOT_START) for text in messages)
    return State(
        running=application.status == "RUNNING",
        failed=application.status == "DEPLOY_FAILED" or could_not_start,
        recovering=any(each.replica_states.get("RECOVERING") for each in deployments),
        message=max(messages, key=len, default=""),
    )


class Replicas:
    """Calls all replicas of `Gateway` directly; to be made once they run.

    They answer even if Serve's controller, the raylet or the GCS has ended.
    """

    def __init__(self) -> None:
        from ray import serve  # noqa: PLC0415 - see `start`

        self._handle = serve.get_app_handle(APPLICATION)

    def ask(self, method: str, *arguments: object, timeout_s: float) -> list[Any]:
        """Calls a method of `Gateway` on each replica and returns the answers.

        Leaves out replicas that fail; if all fail, raises ClusterError with one of the causes.
        """

        def call() -> list[Any]:
            sent = self._handle.broadcast(method, *arguments)
            return list(sent.results(timeout_s=timeout_s, return_exceptions=True))

        try:
            answers = bounded.call(call, within_s=timeout_s + 1)
            good = [each for each in answers if not isinstance(each, BaseException)]
            if not good:
                raise answers[0]
        except Exception as error:
            told = cause(str(error) or type(error).__name__)
            raise ClusterError(f"no replica answers: {told}") from error
        return good


def answers(host: str, port: int) -> bool:
    """Whether GET /health answers 200 through HAProxy."""
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


def stop(place: Place, replicas: Replicas | None = None) -> None:
    """Ends everything, whatever its state, and moves the logs to their place; takes seconds."""
    if replicas is not None:
        with contextlib.suppress(ClusterError):  # what does not end by itself is killed below
            replicas.ask("close", timeout_s=_CLOSE_TIMEOUT_S)
    ray = sys.modules.get("ray")
    if ray and not bounded.any_left():  # Ray may end this process if another thread is inside Ray
        with contextlib.suppress(Exception):
            bounded.call(ray.shutdown, within_s=_SHUTDOWN_TIMEOUT_S)
    orphans.end(place.mark, grace_s=3.0)
    orphans.put_away(place.scratch, place.logs)
