"""A first guess at what a drawing shows, from the words of its source alone; every guess is then looked at.

Guesses decide what is put on the contact sheets and what stands under a picture there. What counts is labels.csv.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from drawings.catalogue import Drawing

KEYWORDS = Path(__file__).with_name("keywords.csv")
"""Kind and words, regular expressions among them, in order of precedence: what a rule may touch comes first."""


def candidates(drawings: Iterable[Drawing]) -> Iterator[tuple[Drawing, str]]:
    """The drawings that some keyword fits, with the kind that is guessed."""
    for drawing in drawings:
        kind = guess(drawing)
        if kind is not None:
            yield drawing, kind


def guess(drawing: Drawing) -> str | None:
    """Kind by the drawing's name, or by its keywords where the name says nothing; None for neither."""
    return _first(drawing.name) or _first(" / ".join(drawing.keywords))


def _first(words: str) -> str | None:
    return next((kind for kind, pattern in _patterns() if pattern.search(words)), None)


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    by_kind: dict[str, list[str]] = {}
    with KEYWORDS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_kind.setdefault(row["kind"], []).append(row["words"])
    return tuple((kind, re.compile(rf"\b(?:{'|'.join(some)})\b", re.IGNORECASE)) for kind, some in by_kind.items())
