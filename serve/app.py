"""The Serve application: `serve run serve.app:build config=FILE`, a Serve YAML, `sluice serve`."""

import contextlib
import gc
import hashlib
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve.context import _get_global_client
from starlette.types import ASGIApp

from serve import shipped
from serve.access.tenants import Keys, load_keys, require_safe_binding
from serve.http.allow import find
from serve.http.server import loopback, one_zero
from serve.observability import replica_log
from serve.process import orphans, ray_environment
from serve.profile.history import history_of
from serve.profile.in_force import InForce
from serve.profile.settings import Profile, load_profile, parse_admission

if TYPE_CHECKING:
    from serve.http.problems import Problem
    from serve.http.routes.exchange import OwnRequest, OwnResponse
    from serve.service import Service

_log = logging.getLogger("sluice.app")


class Arguments(BaseModel):
    """What the builder takes, from the command line or a Serve YAML's `args`."""

    model_config = ConfigDict(extra="forbid")

    config: Path  # the profile; a relative path is taken from here or from where Sluice is
    admission: dict[str, Any] | None = None  # in place of the profile's section
    access_log: str | None = None  # in place of the profile's `-`: a replica's output is a file


def build(args: Arguments) -> Any:
    """The application of one profile. Raises ProfileError with a message for its author."""
    profile = load_profile(_found(args.config))
    if args.admission is not None:
        section = parse_admission(args.admission, source="args.admission")
        profile = profile.model_copy(update={"admission": section})
    if args.access_log is not None and profile.telemetry.access_log == "-":
        telemetry = profile.telemetry.model_copy(update={"access_log": args.access_log})
        profile = profile.model_copy(update={"telemetry": telemetry})
    return application(profile, name=_name(args.config))


def application(profile: Profile, *, name: str) -> Any:
    """The same for a profile that is already loaded, under a name of its own here."""
    start = uuid.uuid4().hex[:8]  # tells replaced replicas of this start from those of others
    return serve.deployment(Gateway, **options(profile)).bind(profile, name, start)


def options(profile: Profile) -> dict[str, Any]:
    """How Serve runs the deployment. Its own limits sit above ours, so that ours decide."""
    return {
        "num_replicas": profile.engine.replicas,
        "max_ongoing_requests": ray_environment.ongoing_requests(profile),
        "user_config": profile.admission.mapping(),
        # A dead engine is replaced after three failed checks, and its GPUs with it.
        "health_check_period_s": 1,
        "health_check_timeout_s": 10,
        # For replicas that Serve replaces; `sluice serve` drains by itself before it stops.
        "graceful_shutdown_timeout_s": profile.http.drain_timeout_s + 5,
        "graceful_shutdown_wait_loop_s": 0.5,
        # A new controller of Serve counts failed starts again, even of replicas that have run, so
        # there is no limit here. A profile that can never start is stopped by `cluster.state`
        # under `sluice serve`, and elsewhere after three starts of each replica
        # (RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT).
        "max_constructor_retry_count": ray_environment.UNLIMITED,
        "logging_config": {"enable_access_log": False},  # we write one
        "ray_actor_options": {
            "num_cpus": ray_environment.cpus_per_replica(profile),
            "num_gpus": profile.gpus_per_replica,
            "runtime_env": {"env_vars": dict(profile.engine.environment)},
        },
    }


def _name(config: Path) -> str:
    place = hashlib.sha256(str(_found(config).resolve()).encode()).hexdigest()[:6]
    return f"{config.stem}-{place}"


def _found(path: Path) -> Path:
    """The path of a profile: Serve's processes may run in another folder."""
    return path if path.is_absolute() or path.exists() else shipped.configs().parent / path


@serve.ingress()
class Gateway:
    """One replica: one engine with its gate and edge."""

    def __init__(self, profile: Profile, name: str, start: str) -> None:
        self._profile = profile
        self._name = name
        self._start = start
        self._service: Service | None = None

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Starts the engine. Serve calls it after the constructor, on the loop that serves."""
        replica_log.begin()
        keys = load_keys(self._profile.access)
        _require_safe_ingress(keys)
        _log.info("Ingress: %s", _ingress())
        from ray.serve._private import replica  # noqa: PLC0415 - private; see serve/http/server/loopback.py

        loopback.stay(replica)
        one_zero.close_delimited()
        _leave_threads_to_the_engine(self._profile)
        orphans.guard(orphans.mark(orphans.REPLICA))
        with _uncollected():
            from serve.gate.reporting_gate import ServePlace  # noqa: PLC0415
            from serve.peers import ServePeers  # noqa: PLC0415
            from serve.service import open_service  # noqa: PLC0415 - vLLM: only replicas need it

        history = history_of(self._name)
        in_force = InForce(self._profile.admission, history, start=self._start)
        here = serve.get_replica_context()
        peers = ServePeers()
        place = ServePlace(here.replica_tag, lambda: peers.count)
        with replica_log.kept():
            service = await open_service(self._profile, keys, in_force, place, peers)
        self._service = service
        return service.app

    async def reconfigure(self, user_config: Any) -> None:
        """New admission settings from Serve. An exception would end the replica."""
        try:
            if self._service is not None:
                self._service.operations.offer(user_config)
        except Exception:  # noqa: BLE001 - see above; it is logged
            _log.exception("New admission settings could not be applied")

    async def check_health(self) -> None:
        """Serve replaces the replica after three failures; until then it answers 503 itself."""
        if self._service is None or self._service.gate.lost:
            raise RuntimeError("the engine is gone")

    async def reload(self, admission: dict[str, Any] | None) -> dict[str, Any]:
        """Opens the logs again, reads the API keys again, takes the profile's section if given.

        Answers `{"replica", "hash", "refused", "keys"}`: what holds now, why something was
        refused, and how many keys there are (None: refused, the old ones stay). Never raises.
        """
        try:
            if self._service is not None:
                return await self._service.operations.reload(admission)
            fault = "the replica is closed"
        except Exception as error:  # noqa: BLE001 - told to the caller and logged
            _log.exception("The settings could not be read again")
            fault = str(error) or type(error).__name__
        return {"replica": "", "hash": "", "refused": fault, "keys": None}

    async def own(
        self, method: str, path: str, question: "OwnRequest", only: str | None
    ) -> "tuple[str, OwnResponse | Problem] | None":
        """The name of this replica, and its answer to a question that came to any.

        None where another one is asked, or this one is closed.
        """
        route = find(method, path)
        if route is None or self._service is None or only not in (None, self._service.gate.replica):
            return None
        page = await self._service.routes.answer(route, question)
        return self._service.gate.replica, page

    async def drain(self, *, final: bool = True) -> None:
        """Stops admission. `sluice serve` calls it at its end, which cannot be undone."""
        if self._service is not None:
            self._service.gate.drain(final=final)

    async def state(self) -> dict[str, Any]:
        """What /v1/admission/state tells, and the model's name; empty when closed."""
        if self._service is None:
            return {}
        return self._service.gate.state() | {"model": self._service.engine.served_model}

    async def close(self) -> None:
        """Ends the engine. Idempotent."""
        service, self._service = self._service, None
        if service is not None:
            await service.close()

    async def __del__(self) -> None:
        """Serve awaits it when it stops a replica."""
        await self.close()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """For imports: what they make stays, and the collector would traverse it again and again.

    For vLLM that is an eighth of the time. Later collections leave it out as well.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _require_safe_ingress(keys: Keys) -> None:
    """Checks where Serve really listens: it may have been started without the profile."""
    host = _get_global_client().http_config.host
    try:
        require_safe_binding(host, keys)
    except ValueError as error:
        raise ValueError(f"Serve's http_options.host is {host}. {error}") from None


def _ingress() -> str:
    behind = os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
    return "HAProxy" if behind else "Serve's Python proxy (slower; see deploy/env.sh)"


def _leave_threads_to_the_engine(profile: Profile) -> None:
    """Ray sets OMP_NUM_THREADS to the CPUs it reserved; vLLM knows better."""
    if "OMP_NUM_THREADS" not in profile.engine.environment:
        os.environ.pop("OMP_NUM_THREADS", None)
