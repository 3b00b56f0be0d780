"""A block for diffusers' modular pipelines, to stand behind the one that decodes.

>>> blocks.sub_blocks.insert("guard", GuardBlock(guard), len(blocks.sub_blocks))
"""

from __future__ import annotations

from typing import Any, Literal

from diffusers.modular_pipelines import InputParam, ModularPipelineBlocks, OutputParam

from curate.core.errors import InputError
from curate.guard.guarded_pipeline import UnsafeImage
from curate.guard.pixels import blanked, pictures_of
from curate.guard.safety_checker import Judge, judged


class GuardBlock(ModularPipelineBlocks):  # type: ignore[misc]
    """Judges `images`; what is blocked is black behind it, or ends the pipeline. Adds `decisions`.

    Args:
        guard: a `Guard`.
        on_unsafe: "blank" or "raise".
    """

    def __init__(self, guard: Judge | None = None, on_unsafe: Literal["blank", "raise"] = "blank") -> None:
        super().__init__()
        self._guard = guard
        self._on_unsafe = on_unsafe

    @property
    def description(self) -> str:
        """As diffusers lists it."""
        return "Step that judges the images under a safety policy, and lets pass only what it allows"

    @property
    def inputs(self) -> list[Any]:
        """What it reads."""
        return [InputParam("images", required=True, description="The images that are about to be returned")]

    @property
    def intermediate_outputs(self) -> list[Any]:
        """What it writes."""
        return [
            OutputParam("images", description="The images that may be shown"),
            OutputParam("decisions", type_hint=list, description="A curate.guard.Decision for each"),
        ]

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Judge the state's images.

        Raises:
            UnsafeImage: one is blocked, and `on_unsafe` is "raise".
            InputError: there is no guard, or these are no pictures.
        """
        if self._guard is None:
            raise InputError("guard: the block has none; make it as GuardBlock(guard)")
        block = self.get_block_state(state)
        block.decisions = judged(self._guard, pictures_of(block.images))
        if any(block.decisions) and self._on_unsafe == "raise":
            raise UnsafeImage(block.decisions)
        block.images = blanked(block.images, [bool(one) for one in block.decisions])
        self.set_block_state(state, block)
        return components, state
