"""Which pictures an audit asks for: so many of each prompt, each with a seed that follows from what it is of.

A seed depends on the audit's seed, the prompt's id and the picture's number and on nothing else: not on the place of
the prompt in the file, so that prompts may be added, nor on the generator, so that two generators are asked alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from curate.audit.prompts import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One picture that is asked for.

    Attributes:
        key: unique in an audit, and fit to be a member's name.
        prompt: what it should show.
        number: which of the prompt's pictures it is, from 0.
        seed: of the generator's noise; below 2**31 where no prompt file says otherwise, which every API takes.
    """

    key: str
    prompt: Prompt
    number: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """All pictures of an audit, prompt by prompt, in shards of a fixed size."""

    prompts: Sequence[Prompt]
    images: int
    seed: int
    samples_per_shard: int

    def __len__(self) -> int:
        return len(self.prompts) * self.images

    @property
    def shards(self) -> int:
        """How many shards they make."""
        return -(-len(self) // self.samples_per_shard)

    def of_shard(self, shard: int) -> list[Draw]:
        """Those of a shard, in order."""
        first = shard * self.samples_per_shard
        return [self._draw(place) for place in range(first, min(first + self.samples_per_shard, len(self)))]

    def _draw(self, place: int) -> Draw:
        position, number = divmod(place, self.images)
        prompt = self.prompts[position]
        key = f"{position:06d}-{number:04d}"
        return Draw(key=key, prompt=prompt, number=number, seed=seed_of(prompt, number, self.seed))


def seed_of(prompt: Prompt, number: int, seed: int) -> int:
    """The seed of a prompt's picture: the prompt's own plus its number, else 31 bits of a hash."""
    if prompt.seed is not None:
        return prompt.seed + number
    digest = hashlib.sha256(f"{seed}\0{number}\0{prompt.id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") >> 1
