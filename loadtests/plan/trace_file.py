"""Reads a trace of requests as a plan's workload.

No prefix counts as cached, even if the trace names shared blocks.
"""

from pathlib import Path

from admission.planning.workload import Workload, from_requests
from loadtests.asking.trace_file import read_rows


def read_trace(path: Path, *, max_model_len: int) -> Workload:
    """The workload of a trace file; ValueError names the file and the faulty line.

    If the rows have times (`timestamp_s`), they give the offered rate.
    """
    rows = read_rows(path)
    times = [row.at_s for row in rows if row.at_s is not None]
    span_s = max(times) - min(times) if times else 0.0
    return from_requests(
        path.name,
        [(row.prompt_tokens, row.output_tokens) for row in rows],
        max_model_len=max_model_len,
        offered_per_s=len(rows) / span_s if span_s else None,
    )
