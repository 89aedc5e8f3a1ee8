"""Every word a plan shows, in English and Chinese: one table each, with the same keys."""

from collections.abc import Mapping
from enum import StrEnum

from admission.plan import LIMITS
from admission.sentences import ENGLISH, Sentence
from serve.plan import chinese, english


class Language(StrEnum):
    """What `--lang` takes."""

    EN = "en"
    ZH = "zh"


TABLES: Mapping[Language, Mapping[str, str]] = {
    Language.EN: ENGLISH | english.LABELS,
    Language.ZH: chinese.SENTENCES | chinese.LABELS,
}


class Words:
    """One language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._table = TABLES[language]

    def __call__(self, key: str, /, **values: object) -> str:
        """The label of that key with its values; KeyError for an unknown one."""
        said = {name: self._value(value) for name, value in values.items()}
        return self._table[key].format(**said)

    def say(self, text: str) -> str:
        """A sentence of the plan in this language; other text as it is."""
        return self(text.key, **text.values) if isinstance(text, Sentence) else text

    def limit(self, name: str) -> str:
        """What one of the four limits is called."""
        return self._table[f"limit_{name}"]

    def _value(self, value: object) -> object:
        """Sentences and limits inside a sentence are said in its language."""
        if isinstance(value, Sentence):
            return self.say(value)
        return self.limit(value) if isinstance(value, str) and value in LIMITS else value
