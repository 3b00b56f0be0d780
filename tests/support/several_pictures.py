"""Samples of several pictures and frames, and an eye that finds every picture in what a run calls clean.

The eye is Pillow's own `Image.open` over every byte string, wherever it lies; it shares nothing with the sources.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from curate.sources.row_columns import COLUMNS, columns

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
ANIMATED = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")


def frame(number: int, size: int = 16) -> Image.Image:
    """A picture that differs for each number, coarsely enough for every format to keep it apart."""
    blocks = Image.frombytes("RGB", (4, 4), random.Random(number).randbytes(48))
    return blocks.resize((size, size), Image.Resampling.NEAREST)


def picture(number: int, kind: str = "PNG", frames: int = 1) -> bytes:
    """A file of so many frames or pages."""
    first, *others = (frame(number * 1000 + n) for n in range(frames))
    out = io.BytesIO()
    first.save(out, kind, **({"save_all": True, "append_images": others} if others else {}))
    return out.getvalue()


def frames_in(data: bytes) -> int:
    """How many frames a byte string shows, if it is a picture; else none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return getattr(image, "n_frames", 1)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return 0


def byte_strings(value: object) -> Iterator[bytes]:
    """Every byte string in a value, however deep."""
    match value:
        case bytes():
            yield value
        case dict():
            for item in value.values():
                yield from byte_strings(item)
        case list() | tuple():
            for item in value:
                yield from byte_strings(item)


def pictures_of(row: dict) -> Iterator[tuple[str, int]]:
    """SHA-256 and number of frames of every picture in a row of a Parquet split, its sidecar's columns opened."""
    for data in byte_strings(row):
        if frames := frames_in(data):
            yield hashlib.sha256(data).hexdigest(), frames
    for entry in row["sidecar"]:
        if entry["name"] == COLUMNS:
            for data in byte_strings(columns(entry["data"]).to_pylist()):
                if frames := frames_in(data):
                    yield hashlib.sha256(data).hexdigest(), frames


def unjudged_in_clean(run: Path) -> list[str]:
    """Pictures and frames in `clean` that no row calls Safe under every policy."""
    found = []
    rows = pl.concat([pl.read_parquet(path) for path in run.glob("annotations/*/*.parquet")])
    policies = rows["policy"].n_unique()
    for path in run.glob("splits/clean/**/*.parquet"):
        for row in pq.read_table(path).to_pylist():
            own = rows.filter(pl.col("shard") == row["shard"], pl.col("index") == row["index"])
            if own.filter(pl.col("detail").is_not_null()).height:
                found.append(f"{row['key']}: judged in part")
            for sha256, frames in pictures_of(row):
                safe = own.filter(pl.col("sha256") == sha256, pl.col("rating") == "Safe")
                judged = 1 if safe.is_empty() or safe["frames"][0] is None else len(safe["frames"][0])
                if safe["policy"].n_unique() < policies or judged < frames:
                    found.append(f"{row['key']}: {sha256[:8]}, {judged} of {frames} frames")
    return found


def table(rows: list[dict]) -> pa.Table:
    """Rows as Arrow infers them."""
    return pa.Table.from_pylist(rows)
