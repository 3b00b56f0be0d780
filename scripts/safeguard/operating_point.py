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

from curate.tuning.encoding import Encoder
from curate.types import Rating

RECALL = 0.85
"""Wanted on the held out pictures: a little more than is wanted of the safeguard."""

RIDGE = 1e-3
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where ratings stand: last hidden states (n, width), log-odds of Unsafe (n,), and what is right there (n,)."""

    states: torch.Tensor
    odds: torch.Tensor
    unsafe: torch.Tensor


def move(model: Any, tokenizer: Any, encoder: Encoder, rows: Sequence[Mapping[str, Any]]) -> float:
    """Move the row of the output layer in place; returns by how much the log-odds rose."""
    places = rating_places(model, tokenizer, encoder, rows)
    shift = -threshold(places.odds[places.unsafe], RECALL)
    inner = places.states.T @ places.states
    ridge = RIDGE * inner.diagonal().mean() * torch.eye(len(inner))
    direction = torch.linalg.solve(inner + ridge, places.states.sum(0))
    with torch.no_grad():
        model.get_output_embeddings().weight[tokenizer.convert_tokens_to_ids(Rating.UNSAFE.value)] += shift * direction
    return shift


def threshold(odds: torch.Tensor, recall: float) -> float:
    """The highest log-odds that at least this share of `odds` reaches."""
    return float(odds.sort(descending=True).values[int(recall * len(odds))])


@torch.inference_mode()
def rating_places(model: Any, tokenizer: Any, encoder: Encoder, rows: Sequence[Mapping[str, Any]]) -> Places:
    """Of conversations as `curate.tuning.dataset.load` gives them."""
    safe, unsafe = tokenizer.convert_tokens_to_ids([Rating.SAFE.value, Rating.UNSAFE.value])
    output = model.get_output_embeddings()
    states, is_unsafe = [], []
    for start in range(0, len(rows), BATCH):
        batch = encoder([rows[i] for i in range(start, min(start + BATCH, len(rows)))])
        last = model.model(**batch.inputs).last_hidden_state[:, -batch.labels.shape[1] - 1 : -1]
        said = (batch.labels == safe) | (batch.labels == unsafe)
        first = said.int().argmax(1)
        each = torch.arange(len(first))
        states.append(last[each, first])
        is_unsafe.append(batch.labels[each, first] == unsafe)
    found = torch.cat(states).float()
    odds = output(found)
    return Places(states=found, odds=odds[:, unsafe] - odds[:, safe], unsafe=torch.cat(is_unsafe))
