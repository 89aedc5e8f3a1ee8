"""What differs between two admission sections, key by key."""

from typing import Any

Change = dict[str, Any]  # {"key": dotted path, "from": value, "to": value}


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Keys whose values differ, dotted from the top of the section, in the order of the section.

    Takes `AdmissionSection.mapping()` of both. A tenant that only one of them names is one
    change, `tenants.NAME`, from or to null.
    """
    return [*_below((), old, new)]


def _below(path: tuple[str, ...], old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    found: list[Change] = []
    for name in [*old, *(name for name in new if name not in old)]:
        before, after, here = old.get(name), new.get(name), (*path, name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _below(here, before, after)
        elif before != after:
            found.append({"key": ".".join(here), "from": before, "to": after})
    return found
