"""Every word of a report, in English and Chinese."""

from typing import ClassVar

from loadtests.document.words import LabelsOf, Language, Tables
from loadtests.report import chinese, english


class ReportWords(LabelsOf):
    """One language."""

    tables: ClassVar[Tables] = {Language.EN: english.LABELS, Language.ZH: chinese.LABELS}

    def has(self, key: str) -> bool:
        """Whether there is such a label."""
        return key in self._table

    def limit(self, name: str | None) -> str:
        """What one of the four limits is called; "-" for none."""
        return self._table.get(f"limit_{name}", "-") if name else "-"
