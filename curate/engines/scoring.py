"""Probabilities of the two ratings from next-token log-probabilities. Pure: knows tokens, not engines.

A label may be one token (Qwen2's `Safe`, `Unsafe`) or several. Its probability is that of its token sequence, so a
label of several tokens is walked: one request for each distinct beginning, asking for the tokens that may follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.core.types import Rating

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The more probable rating, p(Unsafe) / (p(Unsafe) + p(Safe)), and p(Unsafe) + p(Safe)."""

    rating: Rating
    p_unsafe: float
    label_mass: float


def beginnings(labels: Mapping[Rating, Tokens]) -> list[Tokens]:
    """Every distinct beginning of the labels' tokens after which a next token has to be scored, shortest first."""
    found = {tokens[:length] for tokens in labels.values() for length in range(len(tokens))}
    return sorted(found, key=lambda tokens: (len(tokens), tokens))


def followers(labels: Mapping[Rating, Tokens], beginning: Tokens) -> list[int]:
    """The tokens that continue `beginning` in one of the labels."""
    length = len(beginning)
    return sorted({t[length] for t in labels.values() if len(t) > length and t[:length] == beginning})


def score(labels: Mapping[Rating, Tokens], logprobs: Mapping[Tokens, Mapping[int, float]]) -> Score:
    """Score the labels.

    Args:
        labels: tokens of each rating.
        logprobs: by beginning, natural log-probability of each follower under the whole vocabulary.
    """
    safe, unsafe = (_sequence(labels[rating], logprobs) for rating in (Rating.SAFE, Rating.UNSAFE))
    # By the difference, because both probabilities may be too small to divide.
    p_unsafe = 1 / (1 + math.exp(min(safe - unsafe, 700.0)))
    rating = Rating.UNSAFE if p_unsafe > 0.5 else Rating.SAFE
    return Score(rating=rating, p_unsafe=p_unsafe, label_mass=math.exp(safe) + math.exp(unsafe))


def _sequence(tokens: Sequence[int], logprobs: Mapping[Tokens, Mapping[int, float]]) -> float:
    return sum(logprobs[tuple(tokens[:i])][token] for i, token in enumerate(tokens))
