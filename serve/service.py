"""Assembles what a replica runs: one engine, its gate and its HTTP edge."""

import asyncio
import logging
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from admission.gates.heartbeat import Patience
from admission.planning.join import step_model
from admission.planning.linear_form import linear_form
from admission.speed.linear_steps import StepCoefficients
from serve.access.key_ring import KeyRing
from serve.access.tenants import Keys
from serve.embedded import model
from serve.engine.arguments import parse_arguments
from serve.engine.start import Engine
from serve.engine.start import start as start_engine
from serve.gate.decision_log import DecisionLog
from serve.gate.reporting_gate import ReportingGate, ServePlace
from serve.http.edge import Edge, Terms
from serve.http.routes.fleet import FleetRoutes
from serve.http.routes.own import Routes
from serve.http.routes.peers_like import PeersLike
from serve.http.server.cors import with_cors
from serve.observability.telemetry import Telemetry, start_telemetry
from serve.operations import Operations
from serve.profile.in_force import InForce
from serve.profile.plan_agreement import PlanAgreement, compare
from serve.profile.settings import Profile
from serve.simulated import planned
from serve.simulated.options import KEY, from_json
from serve.simulated.timekeeper import REPORT
from serve.simulated.watch import Watch

_log = logging.getLogger("sluice.service")


class Service:
    """What answers requests; `open_service` makes it, `close` ends it and its engine."""

    def __init__(
        self,
        engine: Engine,
        gate: ReportingGate,
        telemetry: Telemetry,
        terms: Terms,
        operations: Operations,
        peers: PeersLike,
    ) -> None:
        self.engine = engine
        self.gate = gate
        self.operations = operations
        self.routes = Routes(gate, operations, registry=telemetry.metrics.registry)
        fleet = FleetRoutes(self.routes, peers, lambda: gate.replica)
        edge = Edge(_app_of(engine), gate, terms, telemetry, fleet)
        self.app: ASGIApp = with_cors(edge, engine.args)
        self._telemetry = telemetry

    async def close(self) -> None:
        """Ends the engine and flushes the logs; a failure of one does not stop the others."""
        try:
            self.gate.drain(final=True)
            await self.gate.close()
        finally:
            try:
                self.engine.close()
            finally:
                self._telemetry.close()


async def open_service(
    profile: Profile, keys: Keys, in_force: InForce, place: ServePlace, peers: PeersLike
) -> Service:
    """Starts the engine of `profile` and everything around it: seconds to minutes.

    Raises ValueError, EngineStartError or what vLLM raises; nothing is left running then.
    """
    telemetry = start_telemetry(profile.telemetry)
    engine = await open_engine(profile)
    try:
        plan = compare(engine.facts)
        ring = KeyRing(profile.access, keys)
        gate = ReportingGate(
            engine,
            in_force,
            ring,
            place,
            step_prior=_prior(profile, engine, plan),
            plan=plan,
            watch=Watch(partial(engine.ask_executor, REPORT)) if profile.engine.simulated else None,
            metrics=telemetry.metrics,
            tracing=telemetry.tracing,
            decisions=DecisionLog(telemetry.decision_log),
            log_lines_dropped=telemetry.log_lines_dropped,
            max_concurrent_renderings=profile.http.max_concurrent_renderings,
            patience=_patience(profile),
            time_scale=profile.time_scale,
        )
        await engine.attach(gate)
        operations = Operations(
            gate,
            in_force,
            ring,
            telemetry.metrics,
            reopen_logs=telemetry.reopen,
        )
        terms = Terms(profile.http, profile.access, keys)
        return Service(engine, gate, telemetry, terms, operations, peers)
    except BaseException:
        engine.close()
        raise


def _patience(profile: Profile) -> Patience:
    """The profile counts real seconds, the gate modelled ones."""
    engine, scale = profile.engine, profile.time_scale
    return Patience(engine.hang_after_s * scale, engine.replace_after_s * scale)


def _app_of(engine: Engine) -> ASGIApp:
    if engine.app is None:
        raise RuntimeError("the engine has no app before attach")
    return engine.app


async def open_engine(profile: Profile) -> Engine:
    """Starts the engine of `profile` alone. Raises as `open_service`."""
    arguments = await asyncio.to_thread(_arguments, profile)  # may convert a model first: a minute
    return await start_engine(
        arguments, simulated=profile.engine.simulated, time_scale=profile.time_scale
    )


def _arguments(profile: Profile) -> Namespace:
    return parse_arguments(engine_args(profile), profile.server_args)


def engine_args(profile: Profile) -> dict[str, Any]:
    """As vLLM names them; an embedded model is prepared first and served by its own name."""
    name = profile.engine.embedded_model
    given = profile.engine_args
    if name is not None:
        folder = model.prepare(name, progress=_log.info)
        given = {"served_model_name": name, **given, "model": str(folder)}
    if profile.engine.simulated:
        given = given | planned.engine_args(profile, Path(given["model"]))
    return given


def _prior(profile: Profile, engine: Engine, plan: PlanAgreement | None) -> StepCoefficients | None:
    """The step times known at the start: calibrated, or by the roofline of the GPU."""
    shape = engine.shape
    tokens, sequences = shape.max_batched_tokens, shape.max_sequences
    if profile.engine.simulated:
        options = from_json(engine.facts.additional[KEY])
        return options.line(batched_tokens=tokens, most_sequences=sequences)
    calibrated = profile.step_time.coefficients
    if calibrated is not None or plan is None or engine.facts.gpu is None:
        return calibrated
    model = step_model(plan.memory)
    if model is None:
        return None
    return linear_form(model, batched_tokens=tokens, most_sequences=sequences).coefficients
