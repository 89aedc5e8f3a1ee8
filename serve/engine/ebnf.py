"""Finds rules without a finite text in grammars as xgrammar prints them.

One rule a line, `name ::= ((alternative) | (alternative))`, of texts, character classes, names with
`{least, most}` and lookaheads `(=(...))`. A rule that derives no finite text, such as `a ::= ((a))`
of the schema `{"$ref": "#"}`, leaves the engine without a token that it may take, or never ends.
"""

import re
from collections.abc import Iterator

_RULE = re.compile(r"^([\w.-]+) ::= (.*)$", re.MULTILINE)
_PART = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"                        # a text
  | \[(?:[^\]\\]|\\.)*\]\*?                  # a character class
  | (?P<look>\(=)                            # a lookahead begins: it consumes nothing
  | (?P<name>[\w.-]+)(?:\{(?P<least>\d+),\ -?\d+\})?
  | (?P<sign>[()|])
    """,
    re.VERBOSE,
)
_Sequence = list[str]  # names that must end, for the sequence to end


def endless_rule(grammar: str) -> str | None:
    """A rule that is reached from `root` and derives no finite text; None when each does one."""
    rules = {name: list(_alternatives(text)) for name, text in _RULE.findall(grammar)}
    ends: set[str] = set()
    grown = True
    while grown:
        grown = False
        for name in rules.keys() - ends:
            if any(all(n in ends or n not in rules for n in needs) for needs in rules[name]):
                ends.add(name)
                grown = True
    return next((name for name in _reached(rules) if name not in ends), None)


def _alternatives(text: str) -> Iterator[_Sequence]:
    """The rule's alternatives; what is no rule of this form (`TagDispatch(`) counts as one."""
    depth, needs, looks_from = 0, list[str](), 0
    for part in _PART.finditer(text):
        if part["look"]:
            depth += 1
            looks_from = looks_from or depth
        elif part["sign"] == "(":
            depth += 1
        elif part["sign"] == ")":
            looks_from = 0 if looks_from == depth else looks_from
            depth -= 1
        elif looks_from:
            continue
        elif part["sign"] == "|" and depth == 1:
            yield needs
            needs = []
        elif part["name"] and part["least"] != "0":
            needs.append(part["name"])
    yield needs


def _reached(rules: dict[str, list[_Sequence]]) -> Iterator[str]:
    """Names from `root` on, breadth first."""
    seen, level = {"root"}, ["root"] if "root" in rules else []
    while level:
        yield from level
        named = {name for rule in level for needs in rules[rule] for name in needs}
        level = sorted(named & rules.keys() - seen)
        seen |= set(level)
