"""The two languages of a plan say the same things, and fit the terminal."""

from dataclasses import replace
from string import Formatter

import pytest

from admission.planning.sentences import ENGLISH, Sentence
from loadtests.document.columns import COLUMNS, width
from loadtests.document.terminal import as_text
from loadtests.document.words import Language
from loadtests.plan.findings import find
from loadtests.plan.from_profile import FromProfile
from loadtests.plan.shown.document import document
from loadtests.plan.shown.lead import misfit
from loadtests.plan.shown.words import PlanWords
from tests.admission.planning.plan_cases import eight_a10


def placeholders(template: str) -> set[tuple[str, str]]:
    """Names and formats of what a template takes in."""
    parsed = Formatter().parse(template)
    return {(name, form or "") for _, name, form, _ in parsed if name is not None}


def test_both_languages_have_the_same_keys() -> None:
    assert PlanWords.tables[Language.EN].keys() == PlanWords.tables[Language.ZH].keys()


@pytest.mark.parametrize("key", sorted(PlanWords.tables[Language.EN]))
def test_both_languages_take_in_the_same_values(key: str) -> None:
    english, chinese = PlanWords.tables[Language.EN][key], PlanWords.tables[Language.ZH][key]
    assert placeholders(english) == placeholders(chinese)


def test_a_sentence_is_english_and_can_be_said_in_chinese() -> None:
    said = Sentence("rule_in_slo_why", binding="prefill")
    assert said == "this workload; prefill binds"
    assert PlanWords(Language.ZH).say(said) == "本负载；瓶颈：预填充"
    assert PlanWords(Language.EN).say(said) == said
    assert PlanWords(Language.ZH).say("no sentence") == "no sentence"


def test_a_sentence_inside_a_sentence_is_said_in_the_same_language() -> None:
    split = Sentence("nearest_split", tp=4)
    told = Sentence("nearest_cards", gpus=4, gpu="A10", split=split)
    assert PlanWords(Language.ZH).say(told) == "4 x A10，tensor_parallel_size 4"


def test_every_sentence_has_a_template() -> None:
    with pytest.raises(KeyError):
        Sentence("no such key")
    assert ENGLISH.keys() <= PlanWords.tables[Language.ZH].keys()


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("workload", ["chat", "rag", "long-context", "code"])
def test_the_terminal_keeps_80_columns_in_both_languages(language: Language, workload: str) -> None:
    found = find(eight_a10(workload=workload), FromProfile())
    shown = as_text(document(found, PlanWords(language)))
    assert [line for line in shown.splitlines() if width(line) > COLUMNS] == []


def test_a_chinese_plan_keeps_no_english_sentence() -> None:
    found = find(eight_a10(), FromProfile())
    shown = as_text(document(found, PlanWords(Language.ZH)))
    assert "瓶颈：解码" in shown
    for english in ("requests", "binds", "prompt", "does not fit"):
        assert english not in shown


def test_what_does_not_fit_is_said_in_chinese() -> None:
    question = eight_a10(tp=2)
    int8 = replace(question, arguments=replace(question.arguments, quantization="int8"))
    shown = misfit(find(int8, FromProfile()), PlanWords(Language.ZH))
    assert shown.startswith("无法部署：一个 max_model_len 32768 的请求")
    assert "最接近的可行方案：max_model_len" in shown
