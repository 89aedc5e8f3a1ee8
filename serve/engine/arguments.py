"""Profile values to vLLM's argument namespace, by vLLM's own names and through its own parser."""

import json
from argparse import ArgumentError, Namespace
from collections.abc import Mapping
from typing import Any

from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser


class _Parser(FlexibleArgumentParser):
    """vLLM's parser that raises instead of ending the process."""

    def error(self, message: str) -> Any:
        raise ValueError(message)


def parse_arguments(engine_args: Mapping[str, Any], server_args: Mapping[str, Any]) -> Namespace:
    """Both sections as vLLM's server would parse them from its command line.

    Raises ValueError naming the key for unknown names, wrong types and contradictions.
    """
    parser = make_arg_parser(_Parser())
    known = {action.dest: action for action in parser._actions}  # noqa: SLF001 - argparse has no other list
    words: list[str] = []
    for section, given in (("engine_args", engine_args), ("server_args", server_args)):
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"{section}.{name}: vLLM has no such argument")
            as_json = known[name].nargs is None  # a list in one word
            words += _words(name, value, as_json=as_json)
    try:
        args: Namespace = parser.parse_args(words)
        validate_parsed_serve_args(args)
    except (ArgumentError, ValueError, TypeError, SystemExit) as failure:
        raise ValueError(f"vLLM refuses the arguments: {failure}") from failure
    return args


def _words(name: str, value: Any, *, as_json: bool) -> list[str]:
    """One key as command-line words; booleans are flags, mappings JSON, None means unset."""
    flag = name.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if isinstance(value, Mapping) or (as_json and isinstance(value, list)):
        return [f"--{flag}", json.dumps(value)]
    if isinstance(value, list):
        return [f"--{flag}", *(str(item) for item in value)]
    return [f"--{flag}={value}"]
