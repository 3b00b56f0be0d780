"""Moves the answer "Unsafe" of a tuned safeguard to an operating point that pictures held out from its tuning choose.

A model tuned on few pictures knows those too well, and on others leans to Safe. The output layer's row for "Unsafe" is
moved along a direction in which the last hidden states where a rating stands are all alike, so that the log-odds of
Unsafe there rise by one constant, whatever the picture; p_unsafe of 0.5 then is the chosen point. No other token and no
ranking of pictures changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from curate.core.types import Rating
from curate.tuning.encoding import Encoder

EXCEPTIONS = 0.92
"""Share of the policy exceptions that stay Safe, at least: a little more than is wanted of the safeguard."""

RIDGE = 1e-3
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where ratings stand.

    Attributes:
        states: last hidden states, (n, width).
        odds: log-odds of Unsafe, (n,).
        unsafe: whether that would be right, (n,).
        exception: whether the policy alone makes it wrong, (n,).
    """

    states: torch.Tensor
    odds: torch.Tensor
    unsafe: torch.Tensor
    exception: torch.Tensor


def move(model: Any, tokenizer: Any, places: Places) -> float:
    """Move the row of the output layer in place; returns by how much the log-odds rose."""
    shift = -threshold(places)
    inner = places.states.T @ places.states
    ridge = RIDGE * inner.diagonal().mean() * torch.eye(len(inner))
    direction = torch.linalg.solve(inner + ridge, places.states.sum(0))
    with torch.no_grad():
        model.get_output_embeddings().weight[tokenizer.convert_tokens_to_ids(Rating.UNSAFE.value)] += shift * direction
    return shift


def threshold(places: Places) -> float:
    """The log-odds above which to say Unsafe: best balanced accuracy of those that leave enough exceptions Safe."""
    candidates = places.odds.sort().values

    def balanced_accuracy(least: torch.Tensor) -> float:
        flagged = places.odds > least
        return float(flagged[places.unsafe].float().mean() + (~flagged[~places.unsafe]).float().mean())

    def spared(least: torch.Tensor) -> float:
        return float((places.odds <= least)[places.exception].float().mean())

    return float(max((c for c in candidates if spared(c) >= EXCEPTIONS), key=balanced_accuracy))


@torch.inference_mode()
def rating_places(model: Any, tokenizer: Any, encoder: Encoder, rows: Sequence[Mapping[str, Any]]) -> Places:
    """Of conversations in the columns that `tune data` writes, images as their bytes."""
    safe, unsafe = tokenizer.convert_tokens_to_ids([Rating.SAFE.value, Rating.UNSAFE.value])
    output = model.get_output_embeddings()
    states, right = [], []
    for start in range(0, len(rows), BATCH):
        batch = encoder([rows[i] for i in range(start, min(start + BATCH, len(rows)))])
        last = model.model(**batch.inputs).last_hidden_state[:, -batch.labels.shape[1] - 1 : -1]
        said = (batch.labels == safe) | (batch.labels == unsafe)
        first = said.int().argmax(1)
        each = torch.arange(len(first))
        states.append(last[each, first])
        right.append(batch.labels[each, first] == unsafe)
    found = torch.cat(states).float()
    odds = output(found)
    return Places(
        states=found,
        odds=odds[:, unsafe] - odds[:, safe],
        unsafe=torch.cat(right),
        exception=torch.tensor([row["exception"] for row in rows]),
    )
