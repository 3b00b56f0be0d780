"""diffusers' own hook: a `safety_checker` that judges the pictures under a policy and says why it blocked one.

>>> pipe = StableDiffusionPipeline.from_pretrained(..., safety_checker=SafetyChecker(guard), feature_extractor=Pixels())
>>> pipe("...").nsfw_content_detected  # a list of Decisions

or, with a pipeline that is there already, `attach(pipe, guard)`. Pipelines without the hook: `guarded_pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from PIL import Image

from curate.core.errors import InputError
from curate.guard.decision import Decision
from curate.guard.pixels import blanked, pictures_of

Judge = Callable[[Sequence[Image.Image]], list[Decision]]
"""A `Guard`, or whatever decides as it does."""

P = TypeVar("P")


class SafetyChecker:
    """Judges what the pipeline is about to return, and blackens what is blocked.

    If the guard fails, so does the pipeline: nothing is returned that nobody judged.
    """

    def __init__(self, guard: Judge) -> None:
        self._guard = guard

    def __call__(self, images: Any, clip_input: object = None) -> tuple[Any, list[Decision]]:
        """As diffusers calls it.

        Args:
            images: a tensor [B, C, H, W] from the VAE, nominally from -1 to 1; or an array [B, H, W, C] from 0 to 1.
            clip_input: not looked at: the pixels are.

        Returns:
            The images, and a decision for each. What is blocked is 0, which diffusers leaves as it is: black.
        """
        tensor = hasattr(images, "movedim")
        decisions = judged(self._guard, pictures_of(images, low=-1.0 if tensor else 0.0))
        return blanked(images, [bool(one) for one in decisions]), decisions

    def to(self, *_: object, **__: object) -> Self:
        """Nothing of it lies on a device."""
        return self


class Pixels:
    """A `feature_extractor` for pipelines that have none of their own; what it gives is not looked at."""

    def __call__(self, images: Sequence[Image.Image], **_: object) -> Pixels:
        """As diffusers calls it."""
        return self

    def to(self, *_: object, **__: object) -> Pixels:
        """Wherever it is wanted; `pixel_values.to(dtype)` too."""
        return self

    @property
    def pixel_values(self) -> Pixels:
        """Something with a method `to`."""
        return self


def attach(pipe: P, guard: Judge) -> P:
    """`pipe` with the guard as its safety checker.

    Raises:
        InputError: pipelines of this kind have no safety checker; `guarded` is for them.
    """
    if not hasattr(pipe, "safety_checker") or not hasattr(pipe, "run_safety_checker"):
        raise InputError(f"guard: {type(pipe).__name__} has no safety checker; use guarded(pipe, guard)")
    pipe.safety_checker = SafetyChecker(guard)
    pipe.feature_extractor = Pixels()  # type: ignore[attr-defined]
    return pipe


def judged(guard: Judge, pictures: Sequence[Image.Image]) -> list[Decision]:
    """A decision for each picture.

    Raises:
        InputError: the guard gives another number of them.
    """
    decisions = list(guard(pictures))
    if len(decisions) != len(pictures) or not all(isinstance(one, Decision) for one in decisions):
        raise InputError(f"guard: gave {len(decisions)} decisions on {len(pictures)} pictures")
    return decisions
