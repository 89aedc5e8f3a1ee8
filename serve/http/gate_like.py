"""What the HTTP edge needs of the gate; `serve.gate.gate` is it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from admission.queue.budgets import Standing
from admission.terms.decision import Rejected
from serve.visit import Tenant, Visit


class GateLike(Protocol):
    """The gate as the edge and our routes see it. Seconds are modelled seconds."""

    @property
    def healthy(self) -> bool:
        """False while the engine is dead or gives no sign of life."""
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
        """Whether it is refused, the verdict on the visit, as too late whatever its body says."""
        ...

    def precheck(self, visit: Visit, body_chars: int) -> Rejected | None:
        """What can be refused before rendering: draining, engine down, queue full, far too long."""
        ...

    def overdue_in_s(self, visit: Visit) -> float | None:
        """Real seconds until a request without a first token is cut off; None = never."""
        ...

    def cut_off(self, visit: Visit) -> Rejected:
        """The verdict on an overdue request, also put on the visit."""
        ...

    async def place(self, visit: Visit, left: asyncio.Future[None]) -> bool:
        """Waits for a place to render in; False: refused, the verdict on the visit, or `left`."""
        ...

    def rendering(self, left: asyncio.Future[None]) -> AbstractAsyncContextManager[bool]:
        """A place to render in for what holds nothing else; False: its caller has `left` first."""
        ...

    async def leave(self, visit: Visit) -> None:
        """Ends everything `visit` holds or waits for; returns when nothing is left. Idempotent."""
        ...

    def prefill_s(self, visit: Visit) -> float | None:
        """From acceptance to the first token; None while there is none."""
        ...

    def standing(self, tenant: Tenant) -> Standing | None:
        """What is left of a tenant's budgets per minute; None where it has none."""
        ...

    def settings_hash(self) -> str:
        """Of the admission section now in force, 12 hex digits."""
        ...

    def state(self) -> dict[str, Any]:
        """Budgets, leases and line, bounded in size; JSON."""
        ...

    def steps(self) -> dict[str, Any]:
        """The engine's last steps and what they took; JSON."""
        ...

    def shadow(self) -> dict[str, Any]:
        """What mode shadow would have refused, and how it ended, bounded in size; JSON."""
        ...

    async def explain(
        self,
        route: str,
        body: dict[str, Any],
        tenant: Tenant,
        requested_ms: float | None = None,
    ) -> dict[str, Any]:
        """Price, budgets and decision of a body that is not run; ValueError when it is invalid."""
        ...

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        """What the engine's parser finds wrong with a body of one of its routes; None: nothing."""
        ...

    async def models(self) -> list[dict[str, Any]]:
        """What is served, in OpenAI's shape: `id`, `created`, `max_model_len` and more."""
        ...

    @property
    def replica(self) -> str:
        """Names this start of one engine."""
        ...

    def drain(self) -> None:
        """Stops admitting; what runs ends by itself."""
        ...

    def resume(self) -> bool:
        """Admits again; False when the gateway is ending."""
        ...
