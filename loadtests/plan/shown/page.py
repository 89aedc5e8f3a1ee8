"""A plan as a page in English and Chinese, and its charts as files."""

from pathlib import Path

from loadtests.document.document import Document
from loadtests.document.page import Edition, page
from loadtests.document.words import Language
from loadtests.plan.findings import Findings
from loadtests.plan.shown.charts import CHARTS
from loadtests.plan.shown.document import document
from loadtests.plan.shown.lead import misfit
from loadtests.plan.shown.words import PlanWords


def plan_page(found: Findings, model: str, shown: Language) -> str:
    """The HTML; `shown` is the language shown first, `model` the model's name in the title."""
    editions = [_edition(found, model, PlanWords(language)) for language in Language]
    return page(editions, shown=shown)


def write_charts(found: Findings, words: PlanWords, folder: Path) -> list[Path]:
    """Writes the charts as SVG files in one language; makes the folder if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in CHARTS:
        file = folder / f"{chart.name}.svg"
        title = words(f"title_{chart.name}")
        file.write_text(chart.draw(found, words).in_file(chart.name, title), encoding="utf-8")
        written.append(file)
    return written


def _edition(found: Findings, model: str, words: PlanWords) -> Edition:
    plan = found.shown.plan
    svgs = {
        chart.name: chart.draw(found, words).on_page(f"{chart.name}-{words.language}")
        for chart in CHARTS
    }
    told = document(found, words, svgs)
    why = misfit(found, words)
    return Edition(
        language=words.language,
        language_name=words("language"),
        title=words("title", model=model, gpus=plan.question.gpus, gpu=plan.question.gpu.name),
        told=Document([why, *told.lead], told.sections) if why else told,
        good=not plan.misfit and plan.load.sustained.expected > 0,
        footer=words("footer"),
    )
