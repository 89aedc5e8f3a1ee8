"""The tables of docs/reference/commands.md: `python -m serve.commands.commands_doc FILE`."""

import argparse
import sys
from collections.abc import Iterator

from serve.commands.cli import command_parser
from serve.doc_tables import Tables, rewrite
from serve.exits import Exit


def exit_table() -> Iterator[str]:
    """Every exit code with its meaning."""
    yield "| code | meaning |"
    yield "|---|---|"
    for code in Exit:
        yield f"| {code.value} | {code.meaning} |"


def flag_tables() -> Iterator[str]:
    """A section per command with its flags, in the order of its help."""
    for name, parser in _commands(command_parser(), "sluice"):
        yield f"### `{name}`"
        yield ""
        if parser.description:
            yield f"{' '.join(parser.description.split())}"
            yield ""
        flags = [each for each in parser._actions if _is_flag(each)]  # noqa: SLF001 - no other way
        if not flags:
            yield "No flags."
            yield ""
            continue
        yield "| flag | meaning |"
        yield "|---|---|"
        for flag in flags:
            yield f"| `{_spelling(flag)}` | {_meaning(flag)} |"
        yield ""


def _commands(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands that do something, those of groups (`sluice config`) one by one."""
    groups = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]  # noqa: SLF001 - no other way
    for group in groups:
        for word, inner in group.choices.items():
            yield from _commands(inner, f"{name} {word}")
    if not groups:
        yield name, parser


def _is_flag(action: argparse.Action) -> bool:
    return action.help is not argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)  # noqa: SLF001


def _spelling(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    shown = value if isinstance(value, str) else " ".join(value)
    if action.choices and not action.metavar:
        shown = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return shown
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {shown}"


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "-") % {**vars(action), "prog": "sluice"}
    return " ".join(text.split()).replace("|", "\\|")


TABLES: Tables = {"exit codes": exit_table, "flags": flag_tables}


if __name__ == "__main__":
    usage = "python -m serve.commands.commands_doc docs/reference/commands.md"
    raise SystemExit(rewrite(sys.argv[1:], TABLES, usage=usage))
