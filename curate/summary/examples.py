"""Three pictures of a run that tell something about it: one that is surely safe, one surely not, and one in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import dropwhile, takewhile

import polars as pl
from PIL.Image import Image

from curate.core.errors import CurateError
from curate.core.types import Rating, ShardRef
from curate.images.decoding import ImageRefused, decode, sha256_of
from curate.images.jpeg_reduction import Needed
from curate.runs.annotation_table import scanned
from curate.runs.commits import Commit
from curate.runs.compaction.reading import AnnotationFiles
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.registry import source_for
from curate.storage.store import Store

SHARDS = 8
"""Shards that are looked at for each rating."""
ROWS = 1000
"""Rows that are looked at in each."""
CAPTION_CHARACTERS = 300
PICTURE_SECONDS = 3.0
"""All pictures together: a summary waits no longer for a source that is far away."""
PICTURE_PIXELS = 40_000_000
_SIDE = 64


class Kind(StrEnum):
    """Why an example was chosen."""

    SAFE = "surest Safe"
    UNSAFE = "surest Unsafe"
    BORDER = "at the border"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A labelled sample.

    Attributes:
        name: its caption, or its key where it has none.
    """

    kind: Kind
    shard: str
    index: int
    image_name: str | None
    sha256: str
    name: str
    rating: str
    category: str
    p_unsafe: float | None
    rationale: str


def choose(store: Store, commits: Iterable[Commit], caption: str | None) -> list[Example]:
    """The Safe sample with the lowest p_unsafe, the Unsafe one with the highest, and the one nearest to one half.

    Not of all samples, which may be billions: of the first `ROWS` of the first `SHARDS` shards that hold each rating,
    so that the same run has the same examples whenever it is asked. Where nothing has a p_unsafe these are the first
    Safe and the first Unsafe one, and none is at the border. Of samples that are equally near the first is taken.

    Args:
        store: the run's folder.
        commits: of one policy, in the order of the shards; not read further than it takes to find the shards.
        caption: name of the sidecar field with the caption.
    """
    looked_at = _with_both(commits)
    files = AnnotationFiles(store)
    rows = [_rated(files, commit).with_columns(shard=pl.lit(n)) for n, commit in enumerate(looked_at)]
    if not rows:
        return []
    chosen = _chosen(pl.concat(rows))
    return [_example(kind, files, looked_at[shard], index, caption) for kind, (shard, index) in chosen.items()]


def pictures(examples: Sequence[Example], shards: Iterable[ShardRef], dataset: DatasetSettings) -> dict[Kind, Image]:
    """Small versions of the examples' pictures, as far as their sources are there, unchanged, and fast enough.

    Only what was judged is decoded: bytes that a process of its own decoded before without harm.
    """
    by_id = {shard.id: shard for shard in shards}
    found: dict[Kind, Image] = {}

    def look() -> None:
        for example in examples:
            image = _picture(example, by_id.get(example.shard), dataset)
            if image is not None:
                found[example.kind] = image

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(PICTURE_SECONDS)
    return dict(found)


def _with_both(commits: Iterable[Commit]) -> list[Commit]:
    """The first `SHARDS` shards with each rating."""
    left = dict.fromkeys(Rating, SHARDS)
    taken = []
    for commit in commits:
        holds = [rating for rating in Rating if commit.ratings.get(rating) and left[rating]]
        if holds:
            taken.append(commit)
            left |= {rating: left[rating] - 1 for rating in holds}
        if not any(left.values()):
            break
    return taken


def _rated(files: AnnotationFiles, commit: Commit) -> pl.DataFrame:
    with files.local(commit) as path:
        first = scanned(path).select("rating", "p_unsafe").with_row_index("index").head(ROWS)
        return first.filter(pl.col("rating").is_not_null()).collect()


def _chosen(rows: pl.DataFrame) -> dict[Kind, tuple[int, int]]:
    """Shard and row of each example."""
    p, half = pl.col("p_unsafe").fill_nan(None), pl.lit(0.5, dtype=pl.Float32)
    safe, unsafe = (pl.col("rating") == rating.value for rating in (Rating.SAFE, Rating.UNSAFE))
    of = {
        Kind.SAFE: rows.filter(safe).sort(p, "shard", "index", nulls_last=True),
        Kind.UNSAFE: rows.filter(unsafe).sort(-p, "shard", "index", nulls_last=True),
        Kind.BORDER: rows.filter(p.is_not_null()).sort((p - half).abs(), "shard", "index"),
    }
    chosen: dict[Kind, tuple[int, int]] = {}
    for kind, ordered in of.items():
        places = ordered.select("shard", "index").head(len(Kind)).rows()
        place = next(iter(places[:1]), None)
        if place is not None and place not in chosen.values():
            chosen[kind] = place
    return chosen


def _example(kind: Kind, files: AnnotationFiles, commit: Commit, index: int, caption: str | None) -> Example:
    with files.local(commit) as path:
        row = scanned(path).slice(index, 1).collect().row(0, named=True)
    return Example(
        kind=kind,
        shard=commit.shard,
        index=row["index"],
        image_name=row["image_name"],
        sha256=row["sha256"] or "",
        name=_caption(row["meta"], caption) or row["key"],
        rating=row["rating"],
        category=row["category"] or "",
        p_unsafe=row["p_unsafe"],
        rationale=row["rationale"] or "",
    )


def _caption(meta: str | None, name: str | None) -> str:
    fields: Mapping[str, object] = json.loads(meta or "{}")
    value = fields.get(name) if name else None
    return "" if value is None else " ".join(str(value)[:CAPTION_CHARACTERS].split())


def _picture(example: Example, shard: ShardRef | None, dataset: DatasetSettings) -> Image | None:
    if shard is None:
        return None
    try:
        samples = source_for(shard.format).samples(shard, dataset)
        near = dropwhile(lambda sample: sample.index < example.index, samples)
        parts = takewhile(lambda sample: sample.index == example.index, near)
        sample = next((one for one in parts if example.image_name in (None, one.part)), None)
        if sample is None or sample.image is None or sha256_of(sample.image) != example.sha256:
            return None
        limits = {"max_bytes": dataset.max_bytes, "max_pixels": min(dataset.max_pixels, PICTURE_PIXELS)}
        return decode(sample.image, **limits, needed=Needed(side=_SIDE)).image
    except (CurateError, ShardBroken, ImageRefused, OSError):  # the source is gone, or not what it was
        return None
