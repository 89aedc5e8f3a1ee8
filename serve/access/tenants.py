"""API keys -> tenants. `python -m serve.access.tenants NAME` makes a new key."""

import hashlib
import ipaddress
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from admission.terms.decision import Priority
from serve.exits import Exit
from serve.profile.access_section import AccessSection
from serve.profile.sections import NAME
from serve.visit import Tenant

ANONYMOUS = "anonymous"


class KeyEntry(BaseModel):
    """One entry of the keys file. The key itself is never stored.

    A plain SHA-256 is enough at rest: keys are 256 random bits, so there is no dictionary to try,
    and a slow hash would cost every request what it costs an attacker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
    priority: Priority = Priority.NORMAL
    admin: bool = False
    key_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Keys:
    """Tenants by API key; without any key every caller is the one anonymous tenant."""

    def __init__(self, entries: Iterable[KeyEntry] = ()) -> None:
        # Looked up by digest: the time of a lookup depends on the hash of a guess, which cannot be
        # steered towards a stored one.
        self._tenants: Mapping[bytes, Tenant] = {
            bytes.fromhex(e.key_sha256): Tenant(e.tenant, e.priority, e.admin) for e in entries
        }

    @property
    def count(self) -> int:
        """Number of keys."""
        return len(self._tenants)

    @property
    def admins(self) -> frozenset[str]:
        """Tenants that have an administrator's key."""
        return frozenset(tenant.name for tenant in self._tenants.values() if tenant.admin)

    def become(self, other: "Keys") -> None:
        """Replaces all keys by those of `other`."""
        self._tenants = other._tenants  # noqa: SLF001 - its own class

    @property
    def configured(self) -> bool:
        """Whether callers need a key."""
        return bool(self._tenants)

    def identify(self, headers: Mapping[str, str]) -> Tenant | None:
        """The tenant of `Authorization: Bearer` or `x-api-key` (names lower case), else None.

        Without keys a caller that sends `Origin` is a web page in a user's browser. It may ask the
        model, but neither read the state nor drain: those requests need no CORS preflight.
        """
        if not self._tenants:
            return Tenant(ANONYMOUS, admin="origin" not in headers)
        for key in _keys_in(headers):
            digest = hashlib.sha256(key.encode()).digest()
            if (tenant := self._tenants.get(digest)) is not None:
                return tenant
        return None


def load_keys(access: AccessSection) -> Keys:
    """Keys of the file and of the environment variable together.

    A named source without keys is an error: it must never open the gateway to all.
    Raises ValueError with one message that names the source and what is wrong.
    """
    entries: list[KeyEntry] = []
    if access.api_keys_file is not None:
        entries += _entries(_read(access.api_keys_file), source=str(access.api_keys_file))
    if access.api_keys_env is not None:
        source = f"environment variable {access.api_keys_env}"
        entries += _entries(os.environ.get(access.api_keys_env, ""), source=source)
    return Keys(entries)


def require_safe_binding(host: str, keys: Keys) -> None:
    """Raises ValueError if a start on `host` would be open to the network without keys.

    Decided from the address we listen on, never from a peer's: behind HAProxy every peer is local.
    """
    if keys.configured or _is_loopback(host):
        return
    raise ValueError(
        f"http.host is {host!r}, which others can reach, and no API key is configured. Set "
        "access.api_keys_file or access.api_keys_env (`python -m serve.access.tenants NAME` makes "
        "a key), or set http.host to 127.0.0.1."
    )


def _keys_in(headers: Mapping[str, str]) -> list[str]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else []
    return [*found, headers["x-api-key"]] if "x-api-key" in headers else found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"API keys file {path} cannot be read: {error}") from error


def _entries(text: str, *, source: str) -> list[KeyEntry]:
    try:
        document: Any = yaml.safe_load(text)
        entries = TypeAdapter(list[KeyEntry]).validate_python(document or [])
    except yaml.YAMLError as error:
        raise ValueError(f"API keys in {source} are not YAML or JSON: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ValueError(
            f"API keys in {source}, {place}: {first['msg']}. Expected a list of entries "
            "{tenant, priority: high|normal|low, admin: true|false, key_sha256: 64 hex digits}."
        ) from error
    if not entries:
        raise ValueError(f"API keys in {source}: no key found, so no caller could enter.")
    return entries


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def new_key() -> tuple[str, str]:
    """A new key and its SHA-256 in hex."""
    key = f"sk-sluice-{secrets.token_urlsafe(32)}"
    return key, hashlib.sha256(key.encode()).hexdigest()


def main(arguments: list[str]) -> int:
    """Prints a new key for one tenant, and the line to paste into the keys file."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m serve.access.tenants NAME\n")
        return Exit.BAD_INPUT
    key, digest = new_key()
    try:
        entry = KeyEntry(tenant=arguments[0], key_sha256=digest)
    except ValidationError:
        sys.stderr.write("NAME: 1 to 64 letters, digits, '.', '_' or '-'\n")
        return Exit.BAD_INPUT
    sys.stdout.write(
        f"key, shown once, for {entry.tenant}: {key}\n"
        "line for the keys file:\n"
        f"- {{tenant: {entry.tenant}, priority: normal, admin: false, key_sha256: {digest}}}\n"
    )
    return Exit.GOOD


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
