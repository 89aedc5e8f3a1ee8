"""The words of the lab's page: one table a language, with the same keys."""

from collections.abc import Mapping
from enum import StrEnum

from serve.lab.page import chinese, english


class Language(StrEnum):
    """What a page is written in."""

    EN = "en"
    ZH = "zh"


TABLES: Mapping[Language, Mapping[str, str]] = {
    Language.EN: english.LABELS,
    Language.ZH: chinese.LABELS,
}


class Words:
    """One language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._table = TABLES[language]

    def __call__(self, key: str, /, **values: object) -> str:
        """The label of that key with its values; KeyError for an unknown one."""
        return self._table[key].format(**values)
