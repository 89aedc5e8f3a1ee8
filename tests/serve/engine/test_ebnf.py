"""Grammars with a part that no finite text matches are known by their text."""

import pytest

from serve.engine.ebnf import endless_rule

BASIC = r"""
basic_string ::= (("\"" basic_string_sub))
basic_string_sub ::= (("\"") | ([^\0-\x1f\"\\\r\n)(|] basic_string_sub)) (=([ \n] [,}\]:]))
"""


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= (("a" root) | ("b"))',
        'root ::= ((a)) (=(b))\na ::= (("x"))\nb ::= ((b))',  # what is looked at is not read
        'root ::= (("[" item{0, -1} "]"))\nitem ::= ((item))',  # none of them will do
        'root ::= ("" | (a))\na ::= (("(" a ")") | ("|"))',
        'root ::= ((a))\na ::= TagDispatch(\n  ("<f", b),\n  excludes=()\n)\nb ::= (("x"))',
        'root ::= (("a"))\nunreached ::= ((unreached))',
        "root ::= ((basic_string))\n" + BASIC,
        "",
        "nothing that is known",
    ],
)
def test_a_grammar_each_of_whose_parts_ends_passes(grammar: str) -> None:
    assert endless_rule(grammar) is None


@pytest.mark.parametrize(
    ("grammar", "rule"),
    [
        ("root ::= ((root))", "root"),
        ("root ::= ((a))\na ::= ((b))\nb ::= ((a))", "root"),
        ('root ::= (("x" a) | ("y"))\na ::= ((a))', "a"),
        ('root ::= (("x") | ("[" a{1, 3} "]"))\na ::= (("y" a))', "a"),
        ('root ::= ((b{0, -1}))\nb ::= (("," a))\na ::= ((a))', None),
        ("root ::= ((basic_string a))\na ::= ((a basic_string))\n" + BASIC, "root"),
    ],
)
def test_a_part_that_never_ends_is_named(grammar: str, rule: str | None) -> None:
    assert endless_rule(grammar) == rule
