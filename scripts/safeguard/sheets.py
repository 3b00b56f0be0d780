"""Contact sheets: numbered thumbnails with a caption, for a person to look at before a label counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

COLUMNS, ROWS = 14, 9
THUMB, LINE = 96, 11
GROUND = "#e6e6e6"


def write_sheets(
    folder: Path, name: str, thumbs: Mapping[int, Image.Image], captions: Mapping[int, str]
) -> Sequence[Path]:
    """PNG sheets of `thumbs` (RGBA) in the order of their numbers; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = sorted(thumbs)
    step = COLUMNS * ROWS
    paths = []
    for start in range(0, len(numbers), step):
        part = numbers[start : start + step]
        path = folder / f"{name}-{part[0]:05d}.png"
        _sheet(part, thumbs, captions).save(path)
        paths.append(path)
    return paths


def _sheet(numbers: Sequence[int], thumbs: Mapping[int, Image.Image], captions: Mapping[int, str]) -> Image.Image:
    rows = -(-len(numbers) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (THUMB + 4), rows * (THUMB + 2 * LINE + 4)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=LINE)
    for place, number in enumerate(numbers):
        x, y = place % COLUMNS * (THUMB + 4), place // COLUMNS * (THUMB + 2 * LINE + 4)
        sheet.paste(_thumb(thumbs[number]), (x, y))
        lines = f"{number} {captions[number]}"
        draw.text((x, y + THUMB - 1), lines[:17], fill="black", font=font)
        draw.text((x, y + THUMB + LINE - 2), lines[17:34], fill="black", font=font)
    return sheet


def _thumb(rgba: Image.Image) -> Image.Image:
    cell = Image.new("RGB", (THUMB, THUMB), GROUND)
    fitted = ImageOps.contain(rgba, (THUMB - 4, THUMB - 4))
    cell.paste(fitted, ((THUMB - fitted.width) // 2, (THUMB - fitted.height) // 2), fitted)
    return cell
