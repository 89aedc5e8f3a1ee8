"""The texts of the lab's page."""

from typing import ClassVar

from loadtests.document.words import LabelsOf, Language, Tables
from loadtests.lab.page import chinese, english


class LabWords(LabelsOf):
    """The labels of one language."""

    tables: ClassVar[Tables] = {Language.EN: english.LABELS, Language.ZH: chinese.LABELS}
