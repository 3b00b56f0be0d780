"""The hand-reviewed list of pictures, scripts/sample/manifest.csv: one row a sample, in the order of the shards."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path

PATH = Path(__file__).with_name("manifest.csv")
SAMPLES_PER_SHARD = 60
TARS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sample.

    Attributes:
        source: a key of `archives.ARCHIVES`, or "made" for a picture without a drawing.
        ref: path of the drawing in the archive; for game-icons the icon's name.
        object: what is to be seen, named by a person who looked.
        topic: coarse class of the object.
        touches: code of the policy category that the picture touches, "NA" for none; stays out of the data.
        author: who drew it, as the source says.
        keywords: the source's own, separated by "; ".
        format: "jpg", "png" or "webp".
        width, height: pixels of the finished picture.
        background: "#rrggbb", or two of them from top to bottom, joined by "-".
        ink: colour of a silhouette; "" where the drawing has its own.
        fault: a key of `faults.FAULTS`, "" for an ordinary picture.
        punsafe: probability of the class "nsfw" by open_nsfw on the finished picture; "" where there is no picture.
    """

    source: str
    ref: str
    object: str
    topic: str
    touches: str
    author: str
    keywords: str
    format: str
    width: int
    height: int
    background: str
    ink: str
    fault: str
    punsafe: str


COLUMNS = tuple(field.name for field in fields(Row))


def read_rows(path: Path = PATH) -> list[Row]:
    """All rows, in order."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(**{**r, "width": int(r["width"]), "height": int(r["height"])}) for r in csv.DictReader(file)]


def key_of(position: int) -> str:
    """The sample's key as img2dataset numbers them: five digits of the shard, four of the sample."""
    return f"{position // SAMPLES_PER_SHARD:05d}{position % SAMPLES_PER_SHARD:04d}"
