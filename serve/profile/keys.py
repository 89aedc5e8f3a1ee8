"""Metadata of a configuration key, from which error messages and documentation are made."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo


def key(
    default: Any,
    *,
    what: str,
    unit: str,
    why: str,
    zero: str | None = None,
    allowed: str | None = None,
    **field: Any,
) -> Any:
    """A pydantic field that carries everything the documentation says about it.

    `why` is the reason for the default, `zero` what 0 (or null) means, `allowed` the valid
    values in words if type and bounds do not give them; `field` goes to pydantic (ge, le, ...).
    """
    notes: dict[str, Any] = {"unit": unit, "why": why, "zero": zero, "allowed": allowed}
    return Field(default, description=f"{what} [{unit}]", json_schema_extra=notes, **field)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a profile as the documentation shows it; `path` is dotted from the top."""

    path: str
    unit: str
    default: object
    allowed: str
    what: str
    why: str
    zero: str | None


def keys_of(model: type[BaseModel], *, prefix: str = "") -> Iterator[Key]:
    """Every key below `model`, in the order of the file, sections opened."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        section = section_of(field)
        if section is not None:
            yield from keys_of(section, prefix=f"{path}.")
            continue
        notes = notes_of(field)
        yield Key(
            path=path,
            unit=notes.get("unit") or "",
            default=field.get_default(call_default_factory=True),
            allowed=allowed_values(field),
            what=(field.description or "").removesuffix(f" [{notes.get('unit')}]"),
            why=notes.get("why") or "",
            zero=notes.get("zero"),
        )


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model behind a key that holds further keys, else None."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def entry_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model behind each entry of a map whose names the user chooses, else None."""
    if get_origin(field.annotation) is not dict:
        return None
    kind = get_args(field.annotation)[1]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def notes_of(field: FieldInfo) -> dict[str, Any]:
    """What `key` wrote beside the field; empty for a field made otherwise."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def allowed_values(field: FieldInfo) -> str:
    """The valid values in words: "a ratio between 0 and 0.5", "one of enforce, shadow, off"."""
    notes = notes_of(field)
    kind, optional = _without_none(field.annotation)
    words = notes.get("allowed") or _choices(kind) or _numbers(kind, field, notes.get("unit", ""))
    return f"{words}, or null" if optional else words


def _without_none(kind: Any) -> tuple[Any, bool]:
    if get_origin(kind) not in (Union, UnionType):
        return kind, False
    members = [member for member in get_args(kind) if member is not type(None)]
    return members[0], len(members) < len(get_args(kind))


def _choices(kind: Any) -> str | None:
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        names = [str(name) for name in get_args(kind)]
    elif isinstance(kind, type) and issubclass(kind, Enum):
        names = [str(member.value) for member in kind]
    else:
        return None
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _numbers(kind: Any, field: FieldInfo, unit: str) -> str:
    if kind not in (int, float):
        return "text"
    bounds = {
        k: v
        for item in field.metadata
        for k in ("ge", "le")
        if (v := getattr(item, k, None)) is not None
    }
    span = f"between {plain(bounds['ge'])} and {plain(bounds['le'])}"
    if unit == "ratio":
        return f"a ratio {span}"
    return f"{'a whole number' if kind is int else 'a number'} of {unit} {span}"


def plain(number: float) -> str:
    """A number as a user writes it: no exponent, no trailing .0."""
    return str(int(number)) if float(number).is_integer() else repr(number)
