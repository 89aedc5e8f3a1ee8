"""The load test that CI runs: a few users on the small real model, judged by `sluice limit`."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.live.ask import nothing_held
from tests.live.gateway import ROOT, Gateway, wait_until

pytestmark = pytest.mark.alone  # a client that others slow down finds its own run invalid

GENEROUS = "ttft_p95<=20s,tpot_p95<=2s,success>=99%"  # a machine that others use as well
IMPOSSIBLE = "ttft_p95<=1ms,success>=99%"
SHORT = ("--concurrency", "3", "--soak-s", "5", "--soak-requests", "9", "--scenario", "smoke")
MOST_S = 170.0


def limit(gateway: Gateway, slo: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`sluice limit` as a user runs it."""
    command = [
        sys.executable,
        "-m",
        "serve.commands.cli",
        "limit",
        "--host",
        gateway.url,
        "--slo",
        slo,
    ]
    return subprocess.run(  # noqa: S603 - our own command
        [*command, *SHORT, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MOST_S,
        check=False,
    )


def test_three_users_keep_the_slo_on_the_real_engine(gateway: Gateway, tmp_path: Path) -> None:
    junit = tmp_path / "limit.xml"
    done = limit(gateway, GENEROUS, "--json", "--junit", str(junit))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["asked_concurrency"] == 3
    (round_,) = [each for each in found["rounds"] if each["seen"] == "met"]
    assert round_["outcomes"]["answered"] == round_["offered"] >= 9
    assert not ElementTree.parse(junit).findall(".//failure")  # noqa: S314 - ours
    wait_until(lambda: nothing_held(gateway), within_s=60, what=gateway.written)


def test_a_missed_slo_fails_the_build(gateway: Gateway, tmp_path: Path) -> None:
    junit = tmp_path / "limit.xml"
    done = limit(gateway, IMPOSSIBLE, "--junit", str(junit))
    assert done.returncode == 1, done.stderr
    assert "missed at 3" in done.stdout
    assert ElementTree.parse(junit).findall(".//failure")  # noqa: S314 - ours
    wait_until(lambda: nothing_held(gateway), within_s=60, what=gateway.written)
