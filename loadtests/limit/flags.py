"""The flags of `sluice limit`. Imports nothing heavy."""

import argparse
from pathlib import Path

from admission.terms.slo import DEFAULT_SLO
from loadtests.asking.prompts import Ending, Route
from loadtests.scenarios import SCENARIOS

_FILES = (
    ("--junit", "also as JUnit XML, for CI"),
    ("--markdown", "also as Markdown, e.g. for a job's summary"),
    ("--records", "one JSON line per request and look at /metrics; default: none"),
)


def add_limit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    limit = commands.add_parser(
        "limit", help="find how many users an endpoint carries within an SLO, and prove it"
    )
    limit.set_defaults(module="loadtests.limit.command")
    limit.add_argument(
        "--host", required=True, metavar="URL", help="endpoint, with its base path if it has one"
    )
    limit.add_argument(
        "--model", metavar="NAME", help="model to ask for; needed where the endpoint has several"
    )
    limit.add_argument(
        *("--scenario", "--workload"),
        default="chat",
        metavar="NAME|FILE",
        help=f"what is asked: {', '.join(SCENARIOS)}, or the rows of a trace file; default: chat",
    )
    limit.add_argument(
        "--prompts", type=Path, metavar="FILE", help="ask what is in this file, not --scenario"
    )
    shown_slo = DEFAULT_SLO.replace("%", "%%")  # argparse expands % in help texts
    limit.add_argument("--slo", default=DEFAULT_SLO, help=f"default: {shown_slo}")
    limit.add_argument(
        "--concurrency", type=int, metavar="N", help="only: is the SLO met at N users?"
    )
    limit.add_argument("--start", type=int, metavar="N", help="users of the first round")
    limit.add_argument("--most", type=int, default=1024, metavar="N", help="never more users")
    limit.add_argument(
        "--config", type=Path, metavar="FILE", help="profile of the endpoint, for a prediction"
    )
    limit.add_argument("--api-key", help="an administrator's key, where keys are configured")
    limit.add_argument(
        "--route", choices=[r.name.lower() for r in Route], default="chat", help="API to use"
    )
    limit.add_argument("--ending", choices=list(Ending), help="who decides how long answers are")
    limit.add_argument(
        "--soak-s", type=float, default=120.0, metavar="S", help="modelled seconds of a soak"
    )
    limit.add_argument(
        "--soak-requests", type=int, default=200, metavar="N", help="and requests that finish in it"
    )
    limit.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    limit.add_argument("--json", action="store_true", help="everything, with stable keys")
    limit.add_argument(
        "--beside", type=Path, metavar="FILE", help="show another --json, e.g. of mode off, with it"
    )
    limit.add_argument(
        "--report", type=Path, metavar="FOLDER", help="the report: report.html, charts, CSV"
    )
    for flag, what in _FILES:
        limit.add_argument(flag, type=Path, metavar="FILE", help=what)
