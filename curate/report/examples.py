"""Samples that a report shows: their rows in full, and what of their pictures may be seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from curate.core.types import Rating, Status
from curate.filtering.rules import CLEAN
from curate.report.reading_rows import Reader
from curate.report.shapes import Picture
from curate.settings.dataset import DatasetSettings

PLAIN_BELOW = 0.1
"""A picture is shown as it is where its sample is in clean and p_unsafe lies below this: near a threshold the safeguard
may be wrong, and who opens a report has not asked to see that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row, and its picture.

    Attributes:
        kind: why it was chosen.
        split: where its sample is; None where nothing was filtered yet.
        picture: what may be shown of it.
        instead: why there is no picture; "" where there is one.
    """

    kind: str
    policy: str
    shard: str
    index: int
    image_name: str | None
    key: str
    sha256: str | None
    status: str
    rating: str | None
    category: str
    category_name: str
    p_unsafe: float | None
    rationale: str | None
    detail: str | None
    width: int | None
    height: int | None
    caption: str
    url: str
    split: str | None
    picture: Picture | None = None
    instead: str = ""

    @property
    def may_be_plain(self) -> bool:
        """Whether its picture is shown as it is without anybody having asked for that."""
        surely = self.p_unsafe is not None and self.p_unsafe < PLAIN_BELOW
        return self.rating == Rating.SAFE.value and self.split == CLEAN and surely

    @property
    def has_picture(self) -> bool:
        """Whether there is a picture that was decoded before without harm."""
        return self.status == Status.LABELLED.value and self.sha256 is not None

    def seen(self, picture: Picture | None, instead: str) -> Example:
        """The same with its picture."""
        return replace(self, picture=picture, instead=instead)


def examples_at(
    reader: Reader, policy: str, places: pl.DataFrame | None, dataset: DatasetSettings
) -> tuple[Example, ...]:
    """The rows at `places` in full, in the order of these; each shard is read once."""
    if places is None or not len(places):
        return ()
    found: dict[tuple[str, int, str | None], Mapping[str, object]] = {}
    for (shard,), here in places.group_by("shard"):
        for row in reader.whole(policy, str(shard), here):
            found[str(shard), _whole(row["index"]), _text(row["image_name"])] = row
    ordered = [(kind, found.get((shard, index, name))) for shard, index, name, kind, _ in places.iter_rows()]
    return tuple(_example(kind, row, dataset) for kind, row in ordered if row is not None)


def by_kind(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Examples by why they were chosen, in their order."""
    kinds: dict[str, list[Example]] = {}
    for example in examples:
        kinds.setdefault(example.kind, []).append(example)
    return kinds


def _example(kind: str, row: Mapping[str, object], dataset: DatasetSettings) -> Example:
    meta = _meta(row["meta"])
    p = row["p_unsafe"]
    return Example(
        kind=kind,
        policy=str(row["policy"]),
        shard=str(row["shard"]),
        index=_whole(row["index"]),
        image_name=_text(row["image_name"]),
        key=str(row["key"]),
        sha256=_text(row["sha256"]),
        status=str(row["status"]),
        rating=_text(row["rating"]),
        category=_text(row["category"]) or "",
        category_name=_text(row["category_name"]) or "",
        p_unsafe=p if isinstance(p, float) else None,
        rationale=_text(row["rationale"]),
        detail=_text(row["detail"]),
        width=_side(row["width"]),
        height=_side(row["height"]),
        caption=_field(meta, dataset.caption),
        url=_field(meta, dataset.url),
        split=_text(row["split"]),
    )


def _meta(text: object) -> Mapping[str, object]:
    try:
        fields = json.loads(str(text or "{}"))
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _field(meta: Mapping[str, object], name: str | None) -> str:
    value = meta.get(name) if name else None
    return "" if value is None else str(value)[:4000]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _side(value: object) -> int | None:
    return value if isinstance(value, int) else None
