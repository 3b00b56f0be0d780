"""The policy computed once for all conversations of a batch that begin with it: prefix caching, in training.

Where the policy stands in front of the image, rows under the same policy begin with the same tokens. Those go through
the language model once; every row goes on from their keys and values, and gradients flow back through them.
"""

from __future__ import annotations

from typing import Any

import torch


def split_prefix(
    inputs: dict[str, torch.Tensor], image_token: int
) -> tuple[torch.Tensor | None, dict[str, torch.Tensor]]:
    """The tokens that all rows have in front of the image, (1, length), and the inputs that go on from there.

    Args:
        inputs: input_ids and attention_mask of (rows, length), padded on the left, and others.
        image_token: the first token of an image.

    Returns:
        None and `inputs` as they are, where rows begin differently.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    rows = [row[kept.bool()] for row, kept in zip(ids, mask, strict=True)]
    shared = int((rows[0] == image_token).nonzero()[0])
    prefix = rows[0][:shared]
    if not all(torch.equal(row[:shared], prefix) for row in rows):
        return None, inputs
    longest = max(map(len, rows)) - shared
    # A shorter row is padded with the end of its own prefix, which is masked there.
    own = torch.stack([torch.arange(longest) >= longest - (len(row) - shared) for row in rows]).long()
    after = {
        "input_ids": ids[:, -longest:],
        "attention_mask": torch.cat([torch.ones(len(rows), shared, dtype=torch.long), own], 1),
        "position_ids": shared - 1 + own.cumsum(1),
    }
    return prefix[None], {**inputs, **after}


def continued(model: Any, prefix: torch.Tensor, rows: int) -> Any:
    """The keys and values of `prefix`, for as many rows to go on from."""
    cache = model(input_ids=prefix, use_cache=True, logits_to_keep=1).past_key_values
    cache.batch_repeat_interleave(rows)
    return cache
