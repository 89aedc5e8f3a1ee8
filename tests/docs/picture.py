"""Draws docs/images/plan.png, the README's picture, from a page that `sluice plan --html` writes.

    .venv/bin/python -m tests.docs.picture

Needs Chromium. What the picture leaves out of the page is hidden by a style sheet, not redrawn.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.docs.markdown import ROOT

COMMAND = ["plan", "--model", "Qwen/Qwen3-32B", "--gpu", "a10", "--gpus", "8"]
_PICTURE = ROOT / "docs" / "images" / "plan.png"
_WIDTH, _HEIGHT = 1000, 700
_COLOURS = 64  # charts and text need no more
_HIDDEN = (
    "<style>nav, article[lang=zh], section:nth-of-type(-n+4), section:nth-of-type(n+6),"
    "section:nth-of-type(5) > :not(h2):not(figure) { display: none }"
    "main { max-width: 900px; margin: 0 auto }</style></head>"
)


def draw() -> None:
    """Writes the picture anew."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed: apt install chromium")
    with TemporaryDirectory() as folder:
        page, shot = Path(folder, "plan.html"), Path(folder, "plan.png")
        sluice = Path(sys.executable).with_name("sluice")
        subprocess.run([sluice, *COMMAND, "--html", page], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        page.write_text(page.read_text("utf-8").replace("</head>", _HIDDEN), encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        size = f"--window-size={_WIDTH},{_HEIGHT}"
        subprocess.run(  # noqa: S603
            [chromium, *options, size, f"--screenshot={shot}", page.as_uri()],
            check=True,
            capture_output=True,
        )
        picture = Image.open(shot).convert("RGB")
        box = Image.eval(picture.convert("L"), lambda value: 255 if value < 250 else 0).getbbox()
        if box is None:
            sys.exit("the page is empty")
        left, top, right, bottom = box
        around = (left - 10, max(0, top - 10), right + 10, min(_HEIGHT, bottom + 10))
        picture.crop(around).quantize(_COLOURS).save(_PICTURE, optimize=True)


if __name__ == "__main__":
    draw()
