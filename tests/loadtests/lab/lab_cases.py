"""Small workloads for tests of the lab."""

from loadtests.lab.playing.workload import TraceRequest, TraceWorkload


def asked(number: int, at_s: float, *, prompt: int = 32, output: int = 4) -> TraceRequest:
    return TraceRequest(number, at_s, "all", prompt, output, 64)


def workload_of(*requests: TraceRequest, warm_up: int = 0) -> TraceWorkload:
    return TraceWorkload("test", requests, range(warm_up, len(requests)))
