"""The reviewed table, labels.csv: one row for each drawing that was looked at."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from safeguard.kinds import KINDS, Kind

PATH = Path(__file__).with_name("labels.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One drawing.

    Attributes:
        source: a key of `drawings.origins.ORIGINS`.
        id: path or name of the drawing in its archive.
        object: what is to be seen, as a rationale names it: "a revolver"; "" where the drawing is not kept.
        kind: a key of `safeguard.kinds.KINDS`; "" where the drawing is not kept.
        touches: code of the category that the kind touches, "NA" for none; repeats the rule book for readers.
        keep: "yes" or "no".
        guess: kind by the words of the source alone, before anybody looked.
        author: who drew it.
        note: of the reviewer.
    """

    source: str
    id: str
    object: str
    kind: str
    touches: str
    keep: str
    guess: str
    author: str
    note: str

    @property
    def rule(self) -> Kind:
        """What the rule book says of the kind."""
        return KINDS[self.kind]

    @property
    def rating(self) -> str:
        """Under conf/policy/drawings.yaml."""
        return "Unsafe" if self.rule.role == "unsafe" else "Safe"


COLUMNS = tuple(field.name for field in fields(Label))


def read_labels(path: Path = PATH) -> list[Label]:
    """All rows, in order of source and id."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Label(**row) for row in csv.DictReader(file)]


def kept(labels: Iterable[Label]) -> list[Label]:
    """What is used."""
    return [label for label in labels if label.keep == "yes"]
