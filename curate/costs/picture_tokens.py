"""How many tokens a picture of some size becomes, and for how many its tower computes; by family, as published.

LLaVA-OneVision (arXiv 2408.03326) and LLaVA-NeXT lay a picture over the grid of tiles that fits it best and add a
smaller version of the whole; Qwen2.5-VL (arXiv 2502.13923) has a token for every 28 x 28 pixels; LLaVA-1.5 has 576.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

_SHRUNK_FROM = 1.1
"""By how much a side of the grid may be longer than LLaVA-OneVision's bound before it is shrunk to that."""


class PictureTokens(NamedTuple):
    """Tokens that the language model reads, and patches that the tower computes over the tokens it gives."""

    read: int
    seen: int


def _onevision(width: int, height: int, max_pixels: int | None) -> PictureTokens:
    tiles = [(384 * w, 384 * h) for w in range(1, 7) for h in range(1, 7)]
    return _tiled(width, height, 384, 27, _within(tiles, max_pixels), most_tiles=9)


def _next(width: int, height: int, max_pixels: int | None) -> PictureTokens:
    tiles = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]
    return _tiled(width, height, 336, 24, _within(tiles, max_pixels), most_tiles=None)


def _fixed(width: int, height: int, max_pixels: int | None) -> PictureTokens:
    del width, height, max_pixels
    return PictureTokens(576, 577)


def _qwen(width: int, height: int, max_pixels: int | None) -> PictureTokens:
    across, down = (max(1, round(side / 28)) for side in (width, height))
    budget = (max_pixels or 1003520) / 784
    if across * down > budget:
        shrink = math.sqrt(width * height / 784 / budget)
        across, down = (max(1, math.floor(side / shrink / 28)) for side in (width, height))
    return PictureTokens(across * down, across * down)


PICTURES: Mapping[str, Callable[[int, int, int | None], PictureTokens]] = {
    "onevision": _onevision,
    "next": _next,
    "fixed": _fixed,
    "qwen": _qwen,
}
"""By the families of data/model_sizes.yaml: width and height in pixels and the pixel budget to tokens."""


def _within(tiles: Iterable[tuple[int, int]], max_pixels: int | None) -> list[tuple[int, int]]:
    """The grids that a pixel budget allows: always the smallest."""
    by_area = sorted(tiles, key=lambda tile: tile[0] * tile[1])
    return [tile for tile in by_area if max_pixels is None or tile[0] * tile[1] <= max_pixels] or by_area[:1]


def _tiled(
    width: int, height: int, side: int, tokens: int, grids: Iterable[tuple[int, int]], most_tiles: int | None
) -> PictureTokens:
    """A whole version and the best grid, without its padding, with a token at the end of each row."""
    across, down = (length // side for length in min(grids, key=lambda grid: _waste(width, height, grid)))
    columns, rows = across * tokens, down * tokens
    if width / height > columns / rows:
        rows -= (rows - int(height * columns / width)) // 2 * 2
    else:
        columns -= (columns - int(width * rows / height)) // 2 * 2
    ratio = math.sqrt(columns * rows / (most_tiles or math.inf)) / tokens
    if ratio > _SHRUNK_FROM:
        columns, rows = int(columns // ratio), int(rows // ratio)
    return PictureTokens(tokens**2 + rows * (columns + 1), tokens**2 * (1 + across * down))


def _waste(width: int, height: int, grid: tuple[int, int]) -> tuple[float, float]:
    """What makes a grid worse than another: pixels of the picture that it loses, then those that it leaves empty."""
    scale = min(grid[0] / width, grid[1] / height)
    kept = min(int(width * scale) * int(height * scale), width * height)
    return -kept, grid[0] * grid[1] - kept
