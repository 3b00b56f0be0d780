"""Probabilities of labels from next-token log-probabilities. Pure: knows tokens, not engines.

A label may be one token (Qwen2's `Safe`, `Unsafe`) or several. Its probability is that of its token sequence, so
labels of several tokens are walked: one request for each distinct beginning, asking for the tokens that may follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from curate.core.types import Rating

Tokens = tuple[int, ...]
LogProbs = Mapping[Tokens, Mapping[int, float]]
"""By beginning, natural log-probability of each follower under the whole vocabulary."""

Label = TypeVar("Label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The more probable rating, p(Unsafe) / (p(Unsafe) + p(Safe)), and p(Unsafe) + p(Safe)."""

    rating: Rating
    p_unsafe: float
    label_mass: float


def beginnings(labels: Mapping[Label, Tokens]) -> list[Tokens]:
    """Every distinct beginning of the labels' tokens after which a next token has to be scored, shortest first."""
    found = {tokens[:length] for tokens in labels.values() for length in range(len(tokens))}
    return sorted(found, key=lambda tokens: (len(tokens), tokens))


def forks(labels: Mapping[Label, Tokens]) -> list[Tokens]:
    """Those of the `beginnings` behind which labels part: all that `shares` needs."""
    return [beginning for beginning in beginnings(labels) if len(followers(labels, beginning)) > 1]


def followers(labels: Mapping[Label, Tokens], beginning: Tokens) -> list[int]:
    """The tokens that continue `beginning` in one of the labels."""
    length = len(beginning)
    return sorted({t[length] for t in labels.values() if len(t) > length and t[:length] == beginning})


def score(labels: Mapping[Rating, Tokens], logprobs: LogProbs) -> Score:
    """Score the two ratings by `logprobs` behind their `beginnings`."""
    safe, unsafe = (_sequence(labels[rating], logprobs) for rating in (Rating.SAFE, Rating.UNSAFE))
    # By the difference, because both probabilities may be too small to divide.
    p_unsafe = 1 / (1 + math.exp(min(safe - unsafe, 700.0)))
    rating = Rating.UNSAFE if p_unsafe > 0.5 else Rating.SAFE
    return Score(rating=rating, p_unsafe=p_unsafe, label_mass=math.exp(safe) + math.exp(unsafe))


def shares(labels: Mapping[Label, Tokens], logprobs: LogProbs) -> dict[Label, float]:
    """Probability of each label where it has to be one of them; they add up to 1.

    At each of the `forks` what is no label's is masked, as a grammar does that allows nothing else. No label may be
    another's beginning.
    """
    logs = {beginning: _normal(logprobs[beginning], followers(labels, beginning)) for beginning in forks(labels)}
    return {
        label: math.exp(sum(log[tokens[len(at)]] for at, log in logs.items() if tokens[: len(at)] == at))
        for label, tokens in labels.items()
    }


def _normal(logprobs: Mapping[int, float], candidates: Sequence[int]) -> dict[int, float]:
    """`logprobs` of the candidates alone, so that their probabilities add up to 1."""
    highest = max(logprobs[token] for token in candidates)
    total = highest + math.log(sum(math.exp(logprobs[token] - highest) for token in candidates))
    return {token: logprobs[token] - total for token in candidates}


def _sequence(tokens: Sequence[int], logprobs: LogProbs) -> float:
    return sum(logprobs[tuple(tokens[:i])][token] for i, token in enumerate(tokens))
