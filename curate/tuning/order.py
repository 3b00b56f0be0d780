"""The order in which rows are trained on; an interrupted tuning goes on in the same."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import torch


class Draws:
    """Rows in the order in which they are drawn; each says in `draw` which draw it is.

    Args:
        rows: a `datasets.Dataset`.
        order: indices of rows.
    """

    def __init__(self, rows: Any, order: Sequence[int]) -> None:
        self._rows = rows
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, draw: int) -> dict[str, Any]:
        return {**self._rows[self._order[draw]], "draw": draw}


def training_order(rows: int, length: int, seed: int) -> list[int]:
    """Indices of rows, one permutation after the other."""
    order: list[int] = []
    for epoch in range(math.ceil(length / rows)):
        generator = torch.Generator().manual_seed(seed + epoch)
        order += torch.randperm(rows, generator=generator).tolist()
    return order[:length]


def grouped_order(policies: Sequence[str], length: int, batch: int, seed: int) -> list[int]:
    """Indices of rows, `batch` under the same policy next to each other; what fills no batch comes last in its pass.

    Args:
        policies: of the rows.
        length: how many indices.
        batch: rows in a batch.
        seed: of the order of rows, and of that of batches.
    """
    order: list[int] = []
    for epoch in range(math.ceil(length / len(policies))):
        order += _grouped_pass(policies, batch, seed + epoch)
    return order[:length]


def _grouped_pass(policies: Sequence[str], batch: int, seed: int) -> list[int]:
    filling: dict[str, list[int]] = {}
    full: list[list[int]] = []
    for row in training_order(len(policies), len(policies), seed):
        group = filling.setdefault(policies[row], [])
        group.append(row)
        if len(group) == batch:
            full.append(filling.pop(policies[row]))
    random.Random(seed).shuffle(full)
    return [row for group in (*full, *filling.values()) for row in group]
