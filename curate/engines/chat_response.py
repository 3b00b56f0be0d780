"""What a chat completion says: its text, and p(Unsafe) from the alternatives to the token where the rating begins."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from curate.core.errors import EngineDead
from curate.core.secrets import masked_url
from curate.core.types import Rating

_RATING = re.compile(r'"rating"\s*:\s*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """One answer of the server.

    Attributes:
        rating: as far as the text tells it.
        p_unsafe: under the grammar; None where the server gives no log-probabilities at the rating.
        cut: the answer ran into the limit on tokens.
        cached_tokens: 0 where the server does not tell.
    """

    text: str
    rating: Rating | None
    p_unsafe: float | None
    cut: bool
    prompt_tokens: int
    cached_tokens: int
    generation_tokens: int


def completion_of(response: httpx.Response) -> ChatResponse:
    """Read a chat completion.

    Raises:
        EngineDead: it is none.
    """
    try:
        body = response.json()
        choice = body["choices"][0]
        text = choice["message"]["content"] or ""
        usage = body.get("usage") or {}
        return ChatResponse(
            text=text,
            rating=_rating(text),
            p_unsafe=p_unsafe_of((choice.get("logprobs") or {}).get("content") or []),
            cut=choice.get("finish_reason") == "length",
            prompt_tokens=usage.get("prompt_tokens") or 0,
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
            generation_tokens=usage.get("completion_tokens") or 0,
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EngineDead(
            f"{masked_url(str(response.url))} answers with what is no chat completion: {type(error).__name__}"
        ) from error


def p_unsafe_of(tokens: Sequence[Mapping[str, Any]]) -> float | None:
    """p(Unsafe) / (p(Unsafe) + p(Safe)) at the rating; None where no alternative begins either.

    Under the grammar nothing but a rating can follow, so that every token that begins one leads to it: alternatives add
    up by the rating they begin, however the tokenizer cuts the word and the quotes around it.

    Args:
        tokens: `logprobs.content` of a choice: token, logprob and top_logprobs for each generated token.
    """
    before = ""
    for token in tokens:
        if _rating(before + token["token"]):
            return _share(before, token.get("top_logprobs") or [token])
        before += token["token"]
    return None


def _share(before: str, alternatives: Sequence[Mapping[str, Any]]) -> float:
    mass = dict.fromkeys(Rating, 0.0)
    for alternative in alternatives:
        rating = _rating(before + alternative["token"])
        if rating:
            mass[rating] += math.exp(alternative["logprob"])
    return mass[Rating.UNSAFE] / sum(mass.values())


def _rating(text: str) -> Rating | None:
    """The rating that `text` names or has begun to name, by at least one letter."""
    found = _RATING.search(text)
    begun = text[found.end() :] if found else ""
    return next((r for r in Rating if begun and (r.startswith(begun) or begun.startswith(r))), None)
