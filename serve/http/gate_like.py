"""What the HTTP edge needs of the gate; `serve.gate.gate` is it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from admission.queue.budgets import Standing
from admission.terms.decision import Rejected
from serve.visit import Tenant, Visit


class GateLike(Protocol):
    """The gate as edge and routes see it. Seconds are modelled seconds."""

    @property
    def healthy(self) -> bool:
        """False while the engine is dead or hung."""
        ...

    @property
    def draining(self) -> bool:
        """True from `drain` on: nothing new is admitted."""
        ...

    def now_s(self) -> float:
        """Monotonic."""
        ...

    def deadline_s(self, requested_ms: float | None) -> float:
        """From arrival to the first token: as requested, capped, or the profile's default."""
        ...

    def late(self, visit: Visit) -> bool:
        """True if its deadline cannot be met whatever its body says; sets the verdict."""
        ...

    def precheck(self, visit: Visit, body_chars: int) -> Rejected | None:
        """Refusals before rendering: draining, engine down, queue full, prompt far too long."""
        ...

    def overdue_in_s(self, visit: Visit) -> float | None:
        """Real seconds until a request without a first token is cut off; None = never."""
        ...

    def cut_off(self, visit: Visit) -> Rejected:
        """Sets and returns the verdict on an overdue request."""
        ...

    async def place(self, visit: Visit, left: asyncio.Future[None]) -> bool:
        """Waits for a rendering slot; False if refused (verdict set) or if `left` comes first."""
        ...

    def rendering(self, left: asyncio.Future[None]) -> AbstractAsyncContextManager[bool]:
        """A rendering slot for a request without a lease; False if `left` comes first."""
        ...

    async def leave(self, visit: Visit) -> None:
        """Ends everything `visit` holds or waits for; returns when nothing is left. Idempotent."""
        ...

    def prefill_s(self, visit: Visit) -> float | None:
        """From acceptance to the first token; None while there is none."""
        ...

    def standing(self, tenant: Tenant) -> Standing | None:
        """What is left of a tenant's budgets per minute; None without budgets."""
        ...

    def settings_hash(self) -> str:
        """Of the admission section now in force, 12 hex digits."""
        ...

    def state(self) -> dict[str, Any]:
        """Budgets, leases and queue, bounded in size; JSON."""
        ...

    def steps(self) -> dict[str, Any]:
        """The engine's last steps and their durations; JSON."""
        ...

    def shadow(self) -> dict[str, Any]:
        """What mode shadow would have refused and how that ended, bounded in size; JSON."""
        ...

    async def explain(
        self,
        route: str,
        body: dict[str, Any],
        tenant: Tenant,
        requested_ms: float | None = None,
    ) -> dict[str, Any]:
        """Price, budgets and decision for a body, without running it; ValueError if invalid."""
        ...

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        """What the engine's parser rejects in a body; None if it is valid."""
        ...

    async def models(self) -> list[dict[str, Any]]:
        """The served models in OpenAI's shape: `id`, `created`, `max_model_len` and more."""
        ...

    @property
    def replica(self) -> str:
        """Names this start of one engine."""
        ...

    def drain(self) -> None:
        """Stops admitting; running requests finish."""
        ...

    def resume(self) -> bool:
        """Admits again; False when the gateway is ending."""
        ...
