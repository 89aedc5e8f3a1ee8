"""Load tests of an inference endpoint for Locust: `locust -f loadtests/locustfile.py --host URL`.

What is asked is in `scenarios.py`, how the load changes in `shapes.py`. Locust's web page shows
one row for whole requests, whose totals are Locust's own, and beside them rows of type TTFT and
TPOT, all in modelled milliseconds; what a report is made of goes into a file of our own, unrounded
(`record.py`).

Exit code without the web page: 0 = done, or the SLO was met; 1 = missed; 2 = bad options; 3 = the
run is invalid; 4 = the endpoint is down.
"""

import logging
from argparse import Namespace
from typing import Any

import gevent
from locust import User, events, task
from locust.env import Environment

from loadtests.client.api import EndpointDownError
from loadtests.client.self_test import ReaderError
from loadtests.options import add_options, read_options
from loadtests.record import Outcome, Record
from loadtests.run import Run, begin
from loadtests.words import told
from serve.exits import Exit

_LOG = logging.getLogger("loadtests")
_WELL = (Outcome.ANSWERED, Outcome.CANCELLED)  # who hangs up by their own will is no failure
_FINE_S = 1000  # Locust counts in milliseconds

events.init_command_line_parser.add_listener(lambda parser, **_: add_options(parser))


@events.init.add_listener
def look_at_the_clock(**_: Any) -> None:
    """Locust sets its time limit next, by a clock that stood still while all this was loaded."""
    gevent.get_hub().loop.update_now()


class Caller(User):
    """One user of a closed loop; in an open loop the first of them plays all arrivals."""

    run_: "Run | None" = None  # of the test that is going on, one for all callers

    @task
    def ask(self) -> None:
        """Closed: one request from start to end. Open: all of them, once."""
        going = Caller.run_
        if going is None:
            gevent.sleep(1)  # stopped before it began; Locust is about to stop this user
        elif going.options.closed:
            going.turn()
        elif not going.sent:
            going.play()
            _finish(self.environment)
        else:
            gevent.sleep(1)


@events.test_start.add_listener
def check_and_begin(environment: Environment, **_: Any) -> None:
    """Nothing is asked of an endpoint that is down, or by a reader that fails its test."""
    try:
        Caller.run_ = _begin(environment)
    except EndpointDownError as problem:
        _refuse(environment, Exit.DOWN, f"endpoint down: {problem}")
    except ReaderError as problem:
        _refuse(environment, Exit.INVALID, f"this machine cannot measure: {problem}")
    except (ValueError, OSError) as problem:
        _refuse(environment, Exit.BAD_INPUT, str(problem))


@events.test_stop.add_listener
def judge_and_tell(environment: Environment, **_: Any) -> None:
    """Says what it comes to, and sets the exit code."""
    run, Caller.run_ = Caller.run_, None
    if run is None:
        return
    client = run.end()
    verdict = run.verdict()
    for line in told(run, client, verdict):
        _LOG.info(line)
    if run.options.report is not None:
        from loadtests.report.files import write_report  # noqa: PLC0415 -- matplotlib: a second

        _LOG.info("report in %s", write_report(run.recording.run(), run.options.report))
    if client.flaws():
        environment.process_exit_code = Exit.INVALID
    else:
        environment.process_exit_code = Exit.GOOD if verdict.met else Exit.NO


def _begin(environment: Environment) -> Run:
    options = environment.parsed_options
    assert isinstance(options, Namespace) and environment.host  # noqa: S101, PT018 - Locust asks
    return begin(environment.host, read_options(options), lambda record: _show(environment, record))


def _show(environment: Environment, record: Record) -> None:
    """As rows of Locust's statistics.

    Only whole requests are Locust's requests: its totals, rates and failures are of them. TTFT and
    TPOT are rows beside them, and in no total.
    """
    environment.events.request.fire(
        request_type="request",
        name=record.kind,
        response_time=record.e2e_s * _FINE_S,
        response_length=record.output_tokens,
        exception=None if record.outcome in _WELL else _why(record),
        context={},
    )
    for kind, seconds in (("TTFT", record.ttft_s), ("TPOT", record.tpot_s)):
        if seconds is not None:
            row = environment.stats.get(record.kind, kind)
            row.log(seconds * _FINE_S, record.output_tokens)


def _why(record: Record) -> str:
    """As Locust lists it: how the request ended, and of what, e.g. `refused: kv_capacity`."""
    return f"{record.outcome}: {record.reason or record.status}"


def _refuse(environment: Environment, code: int, why: str) -> None:
    _LOG.error(why)
    environment.process_exit_code = code
    _finish(environment)


def _finish(environment: Environment) -> None:
    """Without the web page the process ends; with it, the test."""
    runner, options = environment.runner, environment.parsed_options
    if runner is not None:
        gevent.spawn(runner.quit if options and options.headless else runner.stop)
