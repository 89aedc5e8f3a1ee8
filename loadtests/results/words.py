"""Every word of a report, in English and Chinese: one table each, with the same keys."""

from collections.abc import Mapping
from enum import StrEnum

from loadtests.results import chinese, english


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

    def has(self, key: str) -> bool:
        """Whether there is such a label."""
        return key in self._table

    def limit(self, name: str | None) -> str:
        """What one of the four limits is called; "-" for none."""
        return self._table.get(f"limit_{name}", "-") if name else "-"
