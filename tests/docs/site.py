"""The documents as a site: `make docs` builds it into build/docs/site, to be read offline.

    .venv/bin/python -m tests.docs.site

Zensical is installed into an environment of its own (site.txt). The pages are copied first, README
as the site's front page; a link out of the documents keeps its words and loses its target.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.markdown import ROOT, is_web, outside_code
from tests.environments import MissingError, python_environment

_HERE = Path(__file__).parent
_BUILD = ROOT / "build" / "docs"
_FRONT = {"README.md": "index.md", "README.zh.md": "index.zh.md"}
_BESIDE = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_LOADS = re.compile(r"<(?:script|link|img)\b[^>]*\b(?:src|href)=\"?https?:")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def place_of(path: Path) -> Path | None:
    """Where the site has a file of the repository, from its own root; None: it has it not."""
    name = str(path)
    if name in _FRONT:
        return Path(_FRONT[name])
    if name in _BESIDE:
        return path
    return path.relative_to("docs") if path.parts[0] == "docs" and path.suffix else None


def for_site(text: str, path: Path) -> str:
    """The Markdown of one page with its links as the site needs them."""
    own = place_of(path)
    assert own is not None

    def link(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        if is_web(target) or target.startswith("#"):
            return found[0]
        name, mark, anchor = target.partition("#")
        to = place_of(Path(os.path.normpath(path.parent / name)))
        if to is None:
            return words
        return f"{image}[{words}]({os.path.relpath(to, own.parent)}{mark}{anchor})"

    return outside_code(text, lambda prose: _LINK.sub(link, prose))


def build() -> Path:
    """Folder of the site, built anew; a link or an anchor that leads nowhere is an error."""
    pages = _BUILD / "pages"
    shutil.rmtree(_BUILD, ignore_errors=True)
    for source in [ROOT / name for name in (*_FRONT, *_BESIDE)] + sorted(
        (ROOT / "docs").rglob("*")
    ):
        if not source.is_file():
            continue
        path = source.relative_to(ROOT)
        target = pages / (place_of(path) or path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(for_site(source.read_text(encoding="utf-8"), path), encoding="utf-8")
        else:
            shutil.copy(source, target)
    shutil.copy(_HERE / "zensical.toml", _BUILD)
    zensical = python_environment(_HERE / "site.txt") / "bin" / "zensical"
    subprocess.run(  # noqa: S603 - our own words
        [str(zensical), "build", "--strict"],
        cwd=_BUILD,
        env=os.environ | {"NO_COLOR": "1"},
        check=True,
    )
    site = _BUILD / "site"
    loading = [page for page in site.rglob("*.html") if _LOADS.search(page.read_text("utf-8"))]
    if loading:
        raise RuntimeError(f"loads something from the network: {loading[0]}")
    return site


if __name__ == "__main__":
    try:
        site = build().relative_to(ROOT)
        print(f"open {site}/index.html, or with search: python3 -m http.server -d {site}")  # noqa: T201
    except MissingError as missing:
        sys.exit(f"make docs: cannot install Zensical: {missing}")
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)
