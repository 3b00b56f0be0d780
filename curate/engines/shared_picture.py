"""One picture behind several questions: what it was rendered to for the first serves the others.

Rendering replaces one placeholder token of the prompt by the picture's tokens. Where that is all it does, the prompt of
another question is rendered by doing the same to it, and the image processor runs once. Pure: knows tokens, not vLLM.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

Prompt = Mapping[str, Any]
"""A rendered prompt, vLLM's `EngineInput`."""

_PIXELS = "mm_kwargs"


@dataclass(frozen=True, slots=True)
class Packed:
    """A rendered prompt whose pixels are pickled, as one object for all prompts of a picture; `rest` is all else."""

    rest: Prompt
    pixels: bytes

    @classmethod
    def of(cls, prompt: Prompt) -> Self:
        """A rendered prompt, packed."""
        rest = {name: value for name, value in prompt.items() if name != _PIXELS}
        return cls(rest, pickle.dumps(prompt[_PIXELS], protocol=pickle.HIGHEST_PROTOCOL))

    def data(self) -> tuple[bytes, bytes]:
        """What goes through a pipe: the pixels of several prompts only once. Bare tensors would take descriptors."""
        return pickle.dumps(self.rest, protocol=pickle.HIGHEST_PROTOCOL), self.pixels


def unpacked(data: tuple[bytes, bytes]) -> Prompt:
    """The prompt as it was rendered, from `Packed.data`."""
    rest, pixels = data
    return {**pickle.loads(rest), _PIXELS: pickle.loads(pixels)}


@dataclass(frozen=True, slots=True)
class SharedPicture:
    """A picture as it was rendered in one prompt, whose token `placeholder` became `tokens`."""

    packed: Packed
    placeholder: int
    tokens: Sequence[int]

    @classmethod
    def of(cls, before: Sequence[int], packed: Packed) -> Self | None:
        """The picture in a prompt that had the tokens `before`; None where more changed than one placeholder."""
        after = packed.rest["prompt_token_ids"]
        (place,) = packed.rest["mm_placeholders"]["image"]
        start, end = place.offset, place.offset + place.length
        shared = cls(packed, before[start], after[start:end])
        again = shared.behind(before)
        return shared if again is not None and again.rest["prompt_token_ids"] == after else None

    def behind(self, tokens: Sequence[int]) -> Packed | None:
        """The prompt of `tokens` with this picture; None where they do not have exactly one place for it."""
        if tokens.count(self.placeholder) != 1:
            return None
        start = tokens.index(self.placeholder)
        (place,) = self.packed.rest["mm_placeholders"]["image"]
        prompt = {
            "prompt_token_ids": [*tokens[:start], *self.tokens, *tokens[start + 1 :]],
            "mm_placeholders": {"image": [dataclasses.replace(place, offset=start)]},
        }
        return Packed({**self.packed.rest, **prompt}, self.packed.pixels)
