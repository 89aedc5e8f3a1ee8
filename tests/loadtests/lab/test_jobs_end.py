"""The lab's processes do not outlive it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

_MAKER = """
import os
from loadtests.lab.jobs import pool_of

if __name__ == "__main__":
    with pool_of(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        os.kill(os.getpid(), 9)
"""


def test_a_pool_ends_with_a_maker_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "maker.py"
    script.write_text(_MAKER)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    maker = subprocess.run(  # noqa: S603 - our own
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert maker.returncode == -signal.SIGKILL
    worker = int(maker.stdout)
    if psutil.pid_exists(worker):
        psutil.Process(worker).wait(timeout=60)
    assert not psutil.pid_exists(worker)
