"""One request as it goes over the wire, and how it is written down to be sent again."""

import base64
import json
import shlex
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]
JSON_TYPE: Headers = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Case:
    """Header values are latin-1 text; `content-length` is added unless a header frames the body."""

    method: str
    path: str
    body: bytes = b""
    headers: Headers = JSON_TYPE
    limited: bool = False  # asks for a few tokens, so an answer is soon there

    def line(self) -> str:
        """One line of JSON from which `from_line` makes the same request."""
        try:
            body = {"body": self.body.decode()}
        except UnicodeDecodeError:
            body = {"base64": base64.b64encode(self.body).decode()}
        return json.dumps(
            {"method": self.method, "path": self.path, **body, "headers": self.headers}
        )

    def curl(self, url: str) -> str:
        """A shell command that sends it; bodies that are no text are given to base64 first."""
        words = ["curl", "-sS", "-X", self.method, url + self.path]
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}"]
        try:
            text = self.body.decode()
        except UnicodeDecodeError:
            encoded = base64.b64encode(self.body).decode()
            return f"echo {encoded} | base64 -d | {shlex.join([*words, '--data-binary', '@-'])}"
        return shlex.join([*words, "--data-binary", text] if text else words)


def from_line(line: str) -> Case:
    """The case that `line` was made of."""
    given = json.loads(line)
    raw = base64.b64decode(given["base64"]) if "base64" in given else given["body"].encode()
    headers = tuple((name, value) for name, value in given["headers"])
    return Case(given["method"], given["path"], raw, headers)
