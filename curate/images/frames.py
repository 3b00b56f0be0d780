"""Which frames of an animation, or pages of a file, are judged."""

from __future__ import annotations

from typing import Literal

Frames = Literal["all"] | int | tuple[Literal["first", "middle", "last"], ...]
"""All, so many evenly spread from the first to the last, or those that are named."""

FRAME_NAMES = ("first", "middle", "last")
FIRST: Frames = ("first",)
DEFAULT_FRAMES: Frames = ("first", "middle", "last")

MOST = 64
"""Frames of one file that are judged: each costs as much as a picture."""

MOST_PIXELS = 10**9
"""What is decoded of one file to get at its frames, most of which build on those before: some ten seconds."""


def chosen(frames: Frames, count: int, pixels: int) -> tuple[int, ...]:
    """Numbers of the frames to judge, ascending, from 0; at least one.

    Args:
        frames: which are asked for.
        count: how many there are.
        pixels: of one frame.
    """
    if count == 1:
        return (0,)
    within_reach = max(1, min(count, MOST_PIXELS // max(1, pixels)))
    wanted = [number for number in _wanted(frames, count) if number < within_reach]
    return tuple(wanted[:MOST]) or (0,)


def _wanted(frames: Frames, count: int) -> list[int]:
    last = count - 1
    if frames == "all":
        return list(range(count))
    if isinstance(frames, int):
        return sorted({0} | {round(n * last / (frames - 1)) for n in range(frames)}) if frames > 1 else [0]
    return sorted({{"first": 0, "middle": last // 2, "last": last}[name] for name in frames})
