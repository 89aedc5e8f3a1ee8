"""Under what conditions a result holds: endpoint, load, client, machine, settings."""

from collections.abc import Iterator, Mapping
from typing import Any

from loadtests.report.findings import RunFindings
from loadtests.report.numbers import seconds_text
from loadtests.report.words import ReportWords

_NAMED = {"version": "vLLM"}  # as its own route calls itself


def conditions(found: RunFindings, words: ReportWords) -> list[tuple[str, str]]:
    """Rows of (what, value); what was not recorded is left out."""
    return [(words(f"of_{name}"), value) for name, value in _rows(found, words) if value]


def settings(found: RunFindings) -> list[tuple[str, str]]:
    """Admission's, with what the endpoint says of its engine; empty where it is no Sluice."""
    endpoint = found.run.about["endpoint"]
    shown = flat(endpoint.get("settings", {})) | {
        f"engine.{name}": value for name, value in flat(endpoint.get("engine", {})).items()
    }
    return [(name, str(value)) for name, value in shown.items()]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with points."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _rows(found: RunFindings, words: ReportWords) -> Iterator[tuple[str, str]]:
    about = found.run.about
    endpoint = about["endpoint"]
    yield "model", endpoint["model"]
    yield "url", about.get("url", "")
    yield "mode", endpoint["mode"] or words("unknown")
    yield "config", endpoint.get("config") or ""
    simulated = "engine_simulated" if endpoint.get("simulated") else "engine_real"
    yield "simulated", words(simulated)
    yield "time_scale", f"{endpoint['time_scale']:g}"
    versions = endpoint.get("versions", {})
    yield "versions", ", ".join(f"{_NAMED.get(name, name)} {v}" for name, v in versions.items())
    yield "scenario", about["scenario"]
    yield "load", about.get("load", "")
    yield "slo", about.get("slo") or ""
    if "retries" in about:
        yield "behaviour", _behaviour(about, words)
    yield "seed", str(about.get("seed", ""))
    yield "prediction", _prediction(found, words)
    yield "beside", (found.search.get("beside") or {}).get("sentence", "")
    yield "client", _client(found, words)
    if "machine" in about:
        yield "machine", words("machine", machine=about["machine"], cpus=about["cpus"])
    yield "command", about.get("command", "")
    yield "run", about.get("run", "")
    yield "at", about.get("at", "")


def _behaviour(about: Mapping[str, Any], words: ReportWords) -> str:
    patience_s = about["patience_s"]
    return words(
        "behaviour",
        retries=about["retries"],
        obeys=f"{about['obeys_retry_after']:.0%}",
        patience=words("endless") if patience_s is None else seconds_text(patience_s),
        hangs_up=f"{about['hangs_up']:.0%}",
    )


def _prediction(found: RunFindings, words: ReportWords) -> str:
    plan = found.search.get("prediction")
    if plan is None:
        return ""
    told = {name: plan[name] for name in ("expected", "low", "high")}
    return words("prediction", **told, limit=words.limit(plan["binds"]))


def _client(found: RunFindings, words: ReportWords) -> str:
    """The worst of a search's rounds."""
    reports = [found.run.client] if found.run.client else []
    reports += [each["client"] for each in found.search.get("rounds", ())]
    if not reports:
        return ""
    lag_s = max(each["lag_p99_s"] for each in reports)
    cpu = max(each["cpu_ratio"] for each in reports)
    return words("client", lag=seconds_text(lag_s), cpu=f"{cpu:.0%}")
