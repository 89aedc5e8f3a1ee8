"""No limit at all: vLLM alone."""

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep


class NoLimit:
    """Everybody goes in at once, as through a gateway in mode `off`."""

    def fits(self, request: TraceRequest, inside: Inside) -> bool:  # noqa: ARG002 - the protocol's
        """Always."""
        return True

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Nothing is to be learned."""
