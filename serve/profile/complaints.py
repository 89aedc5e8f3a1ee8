"""Errors in a configuration as lines that a user can act on: place, key, valid values."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from serve.profile.keys import Key, allowed_values, entry_of, keys_of, section_of
from serve.profile.refused_arguments import KeysRefusedError

Path = tuple[str, ...]  # keys from the top of the file
_SHOWN_CHARS = 60  # of a wrong value


class ProfileError(Exception):
    """A configuration that cannot be used; the text has one line per problem and is for people."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One problem; `path` is the key it is about, empty for the file as a whole."""

    path: Path
    text: str


def complaints(model: type[BaseModel], error: ValidationError) -> list[Complaint]:
    """Every problem pydantic found in a value for `model`."""
    return [complaint for detail in error.errors() for complaint in _each(model, detail)]


def profile_error(source: str, found: list[Complaint], lines: Mapping[Path, int]) -> ProfileError:
    """One line per complaint, `FILE:LINE: key: text`, in the order of the file."""
    ordered = sorted(found, key=lambda complaint: (_line(complaint.path, lines), complaint.path))
    return ProfileError("\n".join(_written(source, complaint, lines) for complaint in ordered))


def _line(path: Path, lines: Mapping[Path, int]) -> int:
    """Line of the key, or of the nearest section around it; 0 if neither is in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


def _written(source: str, complaint: Complaint, lines: Mapping[Path, int]) -> str:
    line = lines.get(complaint.path)
    place = source if line is None else f"{source}:{line}"
    return ": ".join(filter(None, (place, ".".join(complaint.path), complaint.text)))


def _each(model: type[BaseModel], detail: ErrorDetails) -> Iterator[Complaint]:
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    reason = detail.get("ctx", {}).get("error")
    if isinstance(reason, KeysRefusedError):
        yield from (Complaint((*path, name), text) for name, text in reason.refused)
    elif isinstance(reason, ValueError):
        yield Complaint(path, str(reason))
    elif detail["type"] == "invalid_key":
        yield Complaint(path, "a key must be text")
    elif detail["type"] == "extra_forbidden":
        yield Complaint(path, _unknown(model, path))
    else:
        yield Complaint(path, _not_valid(model, path, detail["input"]))


def _not_valid(model: type[BaseModel], path: Path, given: object) -> str:
    owner, name = _owner(model, path)
    field = owner.model_fields.get(name) if name else None
    in_map = field is not None and entry_of(field) is not None and path[-1] != name
    if field is None or in_map or section_of(field) is not None:
        return f"expected keys below it, found {_shown(given)}"
    return f"{_shown(given)} is not valid; give {allowed_values(field)}"


def _unknown(model: type[BaseModel], path: Path) -> str:
    owner, name = _owner(model, path)
    hint = _nearest(owner, name) or _elsewhere(model, name)
    if hint:
        return f"unknown key; did you mean {hint}?"
    if model.model_fields.keys() >= {"engine_args"} and path[0] not in ("admission", "http"):
        return "unknown key; vLLM's own arguments belong below engine_args or server_args"
    return f"unknown key; known here: {', '.join(owner.model_fields)}"


def _owner(model: type[BaseModel], path: Path) -> tuple[type[BaseModel], str]:
    """The section that `path` ends in, and the name of its key that is concerned."""
    steps = iter(enumerate(path, start=1))
    for depth, name in steps:
        field = model.model_fields.get(name)
        entry = entry_of(field) if field else None
        if entry is not None and depth < len(path) - 1:
            next(steps)  # the name that the user chose
        section = entry or (section_of(field) if field else None)
        if section is None or depth >= len(path) - (entry is not None):
            return model, name
        model = section
    return model, ""


def _nearest(owner: type[BaseModel], name: str) -> str | None:
    """The most similar known key of the section, with its unit."""
    near = difflib.get_close_matches(name, owner.model_fields, n=1, cutoff=0.7)
    if not near:
        return None
    return next((_with_unit(key) for key in keys_of(owner) if key.path == near[0]), near[0])


def _elsewhere(model: type[BaseModel], name: str) -> str | None:
    """A key of that name in another section, or its flat spelling (queue_max_requests)."""
    spelled = (key for key in keys_of(model) if _same_name(key, name))
    return next((_with_unit(key) for key in spelled), None)


def _with_unit(key: Key) -> str:
    """The key with its unit, if it has one: wrong names are often about units."""
    counts = isinstance(key.default, int | float) and not isinstance(key.default, bool)
    return f"{key.path} ({key.unit})" if counts else key.path


def _same_name(key: Key, name: str) -> bool:
    return key.path.endswith(f".{name}") or key.path.replace(".", "_").endswith(f"_{name}")


def _shown(given: Any) -> str:
    """The value as in the file, shortened."""
    if given is None:
        return "null"
    if isinstance(given, bool):
        return str(given).lower()
    text = repr(given)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
