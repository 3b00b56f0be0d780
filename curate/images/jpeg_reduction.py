"""How far a JPEG may be reduced while it is decoded, so that the model's image processor still has enough to shrink.

libjpeg decodes to a half, a quarter or an eighth of the sides by leaving out coefficients, at a fraction of the time.
Where the image processor shrinks the picture by twice as much or more anyway, it hardly sees a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

REDUCTIONS = (8, 4, 2)
"""By what libjpeg can divide the sides, and Pillow lets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What a reduced picture must still have.

    Attributes:
        side: pixels of its shorter side.
        area: pixels of the whole.
        same_ratio: reduced sides must not be rounded, since the ratio of the sides decides more than the size.
    """

    side: int = 1
    area: int = 1
    same_ratio: bool = False

    def reduction(self, width: int, height: int) -> int:
        """The largest divisor of both sides, one of `REDUCTIONS`, that leaves what is needed; 1 where none does."""
        return next((by for by in REDUCTIONS if self._leaves_enough(width, height, by)), 1)

    def _leaves_enough(self, width: int, height: int, by: int) -> bool:
        if self.same_ratio and (width % by or height % by):
            return False
        reduced = (width // by, height // by)
        return min(reduced) >= self.side and reduced[0] * reduced[1] >= self.area


def needed_by(image_processor: object) -> Needed | None:
    """What a `transformers` image processor needs at least of a picture; None where it needs all.

    Known are two kinds. Any-resolution processors (LLaVA-OneVision, LLaVA-NeXT) lay a picture over the grid of tiles
    that fits it best: from the largest grid's longest side on, the ratio of a picture's sides alone decides which one.
    Qwen2-VL's shrinks a picture to an area. Both get twice that in each direction.
    """
    grids = getattr(image_processor, "image_grid_pinpoints", None)
    if grids:
        return Needed(side=2 * max(map(max, grids)), same_ratio=len(grids) > 1)
    if type(image_processor).__name__.startswith("Qwen2VLImageProcessor"):
        return Needed(area=4 * int(image_processor.size["longest_edge"]))  # type: ignore[attr-defined]
    return None
