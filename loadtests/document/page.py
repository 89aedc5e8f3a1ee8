"""One self-contained page in one or more languages; opens offline, light or dark as the reader's.

No address outside, and no script is needed: the language is switched by a radio button's state
alone. A page may ask the browser which language is its reader's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loadtests.document.document import Document


@dataclass(frozen=True, slots=True)
class Edition:
    """The whole page in one language; `good` colours the verdict, which is the first of the lead.

    `tiles` are a few large numbers below the lead, each with its name.
    """

    language: str
    language_name: str
    title: str
    told: Document
    good: bool
    footer: str
    tiles: Sequence[tuple[str, str]] = ()


def page(editions: Sequence[Edition], *, shown: str, ask_browser: bool = False) -> str:
    """The page, `shown` (a language) first, or where `ask_browser` the reader's, or its ?lang=."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        editions=editions, shown=shown, ask_browser=ask_browser
    )
