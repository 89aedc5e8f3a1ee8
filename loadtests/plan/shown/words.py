"""The texts that a plan shows, in English and Chinese."""

from typing import ClassVar

from admission.planning.plan import LIMITS
from admission.planning.sentences import ENGLISH, Sentence
from loadtests.document.words import LabelsOf, Language, Tables
from loadtests.plan.shown import chinese, english


class PlanWords(LabelsOf):
    """The labels and sentences of one language."""

    tables: ClassVar[Tables] = {
        Language.EN: ENGLISH | english.LABELS,
        Language.ZH: chinese.SENTENCES | chinese.LABELS,
    }

    def __call__(self, key: str, /, **values: object) -> str:
        """The label with its values; sentences and limits among the values are translated."""
        return super().__call__(key, **{name: self._value(each) for name, each in values.items()})

    def say(self, text: str) -> str:
        """A sentence of the plan in this language; other text is unchanged."""
        return self(text.key, **text.values) if isinstance(text, Sentence) else text

    def limit(self, name: str) -> str:
        """The name of one of the four limits."""
        return self._table[f"limit_{name}"]

    def _value(self, value: object) -> object:
        if isinstance(value, Sentence):
            return self.say(value)
        return self.limit(value) if isinstance(value, str) and value in LIMITS else value
