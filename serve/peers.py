"""All replicas of this gateway, asked through Ray Serve."""

import logging
from typing import TYPE_CHECKING, Any

from serve.http.routes.exchange import OwnRequest
from serve.http.routes.peers_like import Told

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

METHOD = "own"  # of `serve.app.Gateway`
_WITHIN_S = 2.0  # a replica whose event loop is held longer counts as missing

_log = logging.getLogger("sluice.peers")


class ServePeers:
    """Asks every running replica of the deployment that this process is one of."""

    def __init__(self) -> None:
        self._handle: DeploymentHandle[Any] | None = None

    @property
    def count(self) -> int:
        """As many as Serve should run."""
        from ray import serve  # noqa: PLC0415 - a second, which only replicas need

        return serve.get_replica_context().world_size or 1

    async def ask(
        self, method: str, path: str, question: OwnRequest, only: str | None = None
    ) -> Told:
        """By name; a replica that fails or takes too long is left out."""
        try:
            sent = self._of_all().broadcast(METHOD, method, path, question, only)
            answers = await sent.results_async(timeout_s=_WITHIN_S, return_exceptions=True)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, this replica answers
            _log.warning("the replicas could not be asked: %s", str(error) or type(error).__name__)
            return {}
        return dict(each for each in answers if isinstance(each, tuple))

    def _of_all(self) -> "DeploymentHandle[Any]":
        if self._handle is None:
            from ray import serve  # noqa: PLC0415 - see `count`

            here = serve.get_replica_context()
            self._handle = serve.get_deployment_handle(here.deployment, app_name=here.app_name)
        return self._handle
