"""No admission control: vLLM alone."""

from loadtests.lab.playing.fifo import Inside
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep


class NoLimit:
    """Accepts every request at once, like the gateway in mode `off`."""

    def fits(self, request: TraceRequest, inside: Inside) -> bool:  # noqa: ARG002 - the protocol's
        """Always true."""
        return True

    def note(self, step: EngineStep, inside: Inside) -> None:
        """Does nothing."""
