"""Watches HAProxy from the client's side, and starts a stand-in when nothing listens any more."""

import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

from serve.process.events import Fault
from serve.process.haproxy import launcher

_LOOK_S = 0.25
_ANSWER_S = 2.0
_AGAIN_S = 0.1  # while one HAProxy replaces another a connection may be refused
_PATIENCE_S = 2.0  # between two stand-ins, in case one ends at once


def look(host: str, port: int) -> str:
    """One of "answers", "refuses" (nothing listens) and "is silent"."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/-/healthz")  # HAProxy answers it by itself
        connection.getresponse()
    except ConnectionRefusedError:
        return "refuses"
    except (OSError, http.client.HTTPException):
        return "is silent"
    finally:
        connection.close()
    return "answers"


class Front:
    """Checks in a thread until `end`; reports each change in one line."""

    def __init__(
        self, address: tuple[str, int], files: Path, *, log: Path, tell: Callable[[str], None]
    ) -> None:
        self._address = address
        self._files = files  # its subfolders hold Ray's configurations for HAProxy
        self._log = log
        self._tell = tell
        self._stand_in: Popen[bytes] | None = None
        self._started_at_s = -_PATIENCE_S
        self.replaced_at_s = -float("inf")  # monotonic: when the last stand-in was started
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="looks at HAProxy", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stops watching; starts nothing any more."""
        self._ended.set()
        self._thread.join()
        self._reap()

    def _run(self) -> None:
        was = "answers"
        while not self._ended.wait(_LOOK_S):
            now = look(*self._address)
            if now == "refuses" and not self._ended.wait(_AGAIN_S):
                now = look(*self._address)
            if now == "refuses":
                self._replace()
            elif now != was:
                told = {"answers": "HAProxy answers again", "is silent": "HAProxy does not answer"}
                self._tell(Fault("haproxy_silent", told[now]) if now != "answers" else told[now])
            was = now
            self._reap()

    def _reap(self) -> None:
        """Reaps a stand-in that was replaced."""
        if self._stand_in is not None:
            self._stand_in.poll()

    def _replace(self) -> None:
        if time.monotonic() - self._started_at_s < _PATIENCE_S:
            return
        self._started_at_s = time.monotonic()
        folder = next((file.parent for file in self._files.glob("*/haproxy.cfg")), None)
        if folder is None:
            return
        try:
            self._stand_in = launcher.start_stand_in(folder, log=self._log)
        except OSError as error:
            self._tell(f"HAProxy has ended and cannot be restarted: {error}")
            return
        self.replaced_at_s = time.monotonic()
        told = "HAProxy has ended and is being restarted; requests in progress were cut"
        self._tell(Fault("haproxy", told))
