"""A replica's log stays open, whatever a library does to logging.

Each case is a process of its own: it takes logging, standard output and Ray's private parts over.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve.process import ray_environment

# As Serve sets up a replica's process; `file()` is what Serve's controller asks it for.
REPLICA = """
import logging, logging.config, os, sys
from types import SimpleNamespace
import ray
from ray.serve._private.common import ServeComponentType
from ray.serve._private.logging_utils import (
    configure_component_logger, get_component_logger_file_path as file)
from ray.serve.schema import LoggingConfig
from serve.observability import replica_log
from serve.visit import REQUEST_ID

ray._private.worker._global_node = SimpleNamespace(
    max_bytes=10**6, backup_count=1, get_logs_dir_path=os.getcwd)
configure_component_logger(
    component_name="default_Gateway", component_id="abc",
    component_type=ServeComponentType.REPLICA,
    logging_config=LoggingConfig(enable_access_log=False, logs_dir=os.getcwd()))
"""
# What vLLM does, and what a user's VLLM_LOGGING_CONFIG_PATH may do in addition.
AS_VLLM = """
logging.config.dictConfig({
    "version": 1, "disable_existing_loggers": False,
    "handlers": {"vllm": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "loggers": {"vllm": {"handlers": ["vllm"], "level": "INFO", "propagate": False}}})
"""
AS_A_USER = """
logging.config.dictConfig({
    "version": 1,
    "handlers": {"own": {"class": "logging.FileHandler", "filename": "own.txt"}},
    "root": {"handlers": ["own"], "level": "WARNING"}})
"""
BY_INI = """
open("log.ini", "w").write('''[loggers]
keys=root
[handlers]
keys=
[formatters]
keys=
[logger_root]
handlers=
''')
logging.config.fileConfig("log.ini")
"""


def written_by(script: str, folder: Path) -> str:
    """The replica's log after the script ran to its end."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", REPLICA + script],
        cwd=folder,
        env={**ray_environment.FIXED, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    (log,) = folder.glob("replica_*.log")
    assert done.returncode == 0, done.stderr + log.read_text()
    return log.read_text()


def told_in(log: str, name: str) -> str:
    """What follows on the name of a logger of ours."""
    (line,) = re.findall(rf"\[{re.escape(name)}\] (.*)", log)
    return str(line)


@pytest.mark.parametrize("done_to_logging", [AS_VLLM, AS_A_USER, BY_INI])
def test_lines_and_the_name_of_the_file_outlive_what_is_done_to_logging(
    tmp_path: Path, done_to_logging: str
) -> None:
    log = written_by(
        "replica_log.begin(); gate = logging.getLogger('sluice.gate')\n"
        "edge = logging.getLogger('serve.http.edge')\n"
        f"with replica_log.kept():\n    exec({done_to_logging!r})\n"
        "gate.info('after'); edge.warning('as well')\n"
        "logging.getLogger('vllm').warning('from the engine')\n"
        "logging.getLogger('ray.serve').info('of serve'); assert file().startswith('/replica_')",
        tmp_path,
    )
    assert told_in(log, "sluice.gate") == "after"
    assert told_in(log, "serve.http.edge") == "as well"
    assert "from the engine" in log
    assert "-- of serve" in log


def test_without_it_serve_loses_its_file(tmp_path: Path) -> None:
    """If this fails, Ray has mended it, and `replica_log` may do less."""
    log = written_by(
        AS_VLLM + "\ntry:\n    file()\nexcept AttributeError:\n    sys.exit(0)\nsys.exit(3)",
        tmp_path,
    )
    assert log == ""


def test_every_line_of_a_traceback_has_the_id_of_its_request(tmp_path: Path) -> None:
    log = written_by(
        "replica_log.begin(); REQUEST_ID.set('findme')\n"
        "try:\n    raise ValueError('broken')\n"
        "except ValueError:\n    logging.getLogger('sluice.gate').exception('It failed')\n"
        "print('said'); REQUEST_ID.set(None); print('of nobody'); os._exit(0)",
        tmp_path,
    )
    head = r"INFO \S+ \S+ default_Gateway abc "
    *its, of_nobody = log.splitlines()
    assert [re.sub(rf"^{head}findme -- |\d+", "", line) for line in its[1:]] == [
        "Traceback (most recent call last):",
        '  File "<string>", line , in <module>',
        "ValueError: broken",
        "said",
    ]
    assert re.fullmatch(f"{head}-- of nobody", of_nobody)
