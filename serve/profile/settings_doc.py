"""The tables of docs/reference/configuration.md: `python -m serve.profile.settings_doc FILE`."""

import sys
from collections.abc import Iterator
from enum import Enum

from pydantic import BaseModel

from serve.doc_tables import Tables, rewrite
from serve.profile.keys import Key, entry_of, keys_of, plain, section_of
from serve.profile.refused_arguments import by_reason
from serve.profile.settings import Profile


def key_tables() -> Iterator[str]:
    """One heading and table per section of the profile, in the order of the file."""
    sections: dict[str, list[Key]] = {}
    for key in keys_of(Profile):
        sections.setdefault(key.path.split(".", maxsplit=1)[0], []).append(key)
    for name, keys in sections.items():
        field = Profile.model_fields[name]
        model = section_of(field)
        yield from (f"### `{name}`", "")
        yield from (((model.__doc__ or "").strip(), "") if model else ())
        yield from _table(keys, name)
        for inner, entry in _maps(model):
            yield from (f"#### `{name}.{inner}.NAME`", "", (entry.__doc__ or "").strip(), "")
            yield from _table(list(keys_of(entry)), "")


def _table(keys: list[Key], section: str) -> Iterator[str]:
    yield "| key | unit | default | valid | what it does | why this default | zero or null |"
    yield "|---|---|---|---|---|---|---|"
    yield from (_row(key, section) for key in keys)
    yield ""


def _maps(model: type[BaseModel] | None) -> Iterator[tuple[str, type[BaseModel]]]:
    """Keys of a section below which the user names sections of one kind."""
    for name, field in model.model_fields.items() if model else ():
        entry = entry_of(field)
        if entry is not None:
            yield name, entry


def refused_table() -> Iterator[str]:
    """The vLLM arguments a profile may not set, those with the same reason together."""
    yield "| argument | why not |"
    yield "|---|---|"
    for reason, names in by_reason().items():
        yield f"| {', '.join(f'`{name}`' for name in names)} | {reason} |"


TABLES: Tables = {
    "keys": key_tables,
    "refused": refused_table,
}


def _row(key: Key, section: str) -> str:
    name = key.path.removeprefix(f"{section}.")
    cells = (f"`{name}`", key.unit, f"`{_default(key.default)}`", key.allowed, key.what, key.why)
    return f"| {' | '.join(cells)} | {key.zero or _no_zero(key)} |"


def _no_zero(key: Key) -> str:
    return "0 is refused" if isinstance(key.default, int | float) and key.default else "-"


def _default(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return plain(value) if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    usage = "python -m serve.profile.settings_doc docs/reference/configuration.md"
    raise SystemExit(rewrite(sys.argv[1:], TABLES, usage=usage))
