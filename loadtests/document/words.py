"""What pages are written in: labels by key, a table for each language."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Language(StrEnum):
    """What a page is written in; `--lang` takes the same."""

    EN = "en"
    ZH = "zh"


Tables = Mapping[Language, Mapping[str, str]]


class LabelsOf:
    """One language of a page, whose class names the `tables`: all with the same keys."""

    tables: ClassVar[Tables]

    def __init__(self, language: Language) -> None:
        self.language = language
        self._table = self.tables[language]

    def __call__(self, key: str, /, **values: object) -> str:
        """The label of that key with its values; KeyError for an unknown one."""
        return self._table[key].format(**values)
