"""Pictures of the report for docs/, taken in a real browser from a run of the built-in sample.

PYTHONPATH=. python scripts/report_pictures.py FOLDER     (a run's folder with report.html; needs a chromium)
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.support import browser as browsers

DOCS = Path(__file__).resolve().parents[1] / "docs"
DESK, PHONE = (1280, 1240), (390, 1240)
BETWEEN = 24
"""Pixels between the pieces of one picture."""


def main(folder: str) -> None:
    """Write docs/report.png (a desk), docs/report-dark.png (the same in the dark) and docs/report-phone.png."""
    report = (Path(folder) / "report.html").resolve()
    with tempfile.TemporaryDirectory() as profile, browsers.chromium(Path(profile)) as browser:
        _write([_piece(browser, report, "light", DESK, "")], DOCS / "report.png")
        _write([_piece(browser, report, "dark", DESK, "probabilities")], DOCS / "report-dark.png")
        places = (("light", ""), ("dark", "thresholds"), ("light", "samples"))
        _write([_piece(browser, report, scheme, PHONE, place) for scheme, place in places], DOCS / "report-phone.png")


def _piece(browser: browsers.Browser, report: Path, scheme: str, size: tuple[int, int], place: str) -> Image.Image:
    """What is seen of the report where it begins, or at one of its sections."""
    width, height = size
    browser.look_as(scheme, width, height)
    browser.open(report.as_uri())
    top = browser.run(
        "const at = document.getElementById(arguments[0]);"
        "const top = at ? Math.round(at.getBoundingClientRect().top + window.scrollY - 60) : 0;"
        "window.scrollTo({top, behavior: 'instant'}); return top",
        place,
    )
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        browser.picture(Path(file.name), top, height, width)
        return Image.open(io.BytesIO(Path(file.name).read_bytes())).convert("RGB")


def _write(pieces: list[Image.Image], path: Path) -> None:
    """One picture of several, side by side; of few colours, since a page has few."""
    width = sum(piece.width for piece in pieces) + BETWEEN * (len(pieces) - 1)
    whole = Image.new("RGB", (width, max(piece.height for piece in pieces)), "white")
    left = 0
    for piece in pieces:
        whole.paste(piece, (left, 0))
        left += piece.width + BETWEEN
    whole.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
