"""Reads a YAML file strictly: plain values, no repeated keys, and the line of each key."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from serve.profile.complaints import Complaint, ProfileError, profile_error

_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_MAX_BYTES = 1_048_576  # a profile has some KB


@dataclass(frozen=True, slots=True)
class YamlFile:
    """The values of a file and the line (from 1) of each key, by its path from the top."""

    source: str
    values: object
    lines: dict[tuple[str, ...], int]


def read_yaml(path: Path) -> YamlFile:
    """The file's content as plain Python values; raises `ProfileError` naming file and line."""
    source = str(path)
    return parse_yaml(_text(path), source)


def parse_yaml(text: str, source: str) -> YamlFile:
    """As `read_yaml`, for text that is already here; `source` names it in messages."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        lines = _lines(node, source)  # first: construction changes the nodes of merged keys
        values = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}" if mark else source
        raise ProfileError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise ProfileError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ProfileError(f"{source}: not valid YAML: nested too deeply") from None
    return YamlFile(source, values, lines)


def with_section(text: str, name: str, section: str) -> str:
    """The text of a YAML file with `section` in place of its top-level key `name`.

    Everything else keeps its bytes. Without the key the section goes to the end.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    found = root.value if isinstance(root, yaml.MappingNode) and not root.flow_style else []
    for key, value in found:
        if key.value == name:
            end = text.find("\n", _end(value)) + 1
            return text[: key.start_mark.index] + section + (text[end:] if end else "")
    return f"{text.rstrip()}\n\n{section}"


def _end(node: yaml.Node) -> int:
    """Index behind the last character of a value; comments and blank lines below do not count."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise ProfileError(f"{path}: is a folder; give the path of a YAML file")
        if path.exists() and not path.is_file():  # a pipe would block
            raise ProfileError(f"{path}: not a plain file; give a YAML file")
        raw = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else None
    except FileNotFoundError:
        raise ProfileError(f"{path}: no such file") from None
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from None
    if raw is None:
        raise ProfileError(f"{path}: larger than 1 MiB; this is no profile")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ProfileError(f"{path}: not a text file (UTF-8); give a YAML file") from None


def _lines(root: yaml.Node | None, source: str) -> dict[tuple[str, ...], int]:
    """Line of every key. A repeated key, or one that is not text, is an error."""
    lines: dict[tuple[str, ...], int] = {}
    found: list[Complaint] = []
    for path, key in _keys(root, (), set()):
        line = key.start_mark.line + 1
        if path in lines:
            found.append(Complaint(path, f"is given twice, in lines {lines[path]} and {line}"))
        if key.tag not in _KEY_TAGS:
            found.append(Complaint(path, "YAML does not read this key as text; put it in quotes"))
        lines.setdefault(path, line)
    if found:
        raise profile_error(source, found, lines)
    return lines


def _keys(
    node: yaml.Node | None, above: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], yaml.Node]]:
    if node is None or id(node) in seen:  # an alias: its keys are listed at the anchor
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*above, str(key.value))
            yield path, key
            yield from _keys(value, path, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _keys(item, (*above, str(index)), seen)
