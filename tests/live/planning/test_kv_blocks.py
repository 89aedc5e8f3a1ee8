"""With the memory given, the memory model has exactly the blocks that vLLM's own workers have."""

import json
import subprocess
import sys

import pytest

from tests.live.gateway import ROOT

pytestmark = pytest.mark.both_cores  # two ranks spin until both have come: minutes on half a core


# every size, both block sizes, one rank and two; all twelve combinations: `kv_blocks.py`
ENGINES = ((1, 32, 1), (2, 128, 2), (3, 32, 2))


def test_planned_blocks_are_vllms_own() -> None:
    asked = [str(number) for engine in ENGINES for number in engine]
    ran = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "tests.live.planning.kv_blocks", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    rows = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert [(r["space_gib"], r["block_tokens"], r["tp"]) for r in rows] == list(ENGINES)
    assert [row["planned"] for row in rows] == [row["engine"] for row in rows]
    assert rows[0]["engine"] > 10_000
