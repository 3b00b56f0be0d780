"""Conversations with their images as Parquet that `datasets` loads, and how tuning reads them back.

Copies of a case, and the cases of one image, stand next to each other. Parquet's dictionaries then hold each image once
for a row group, so that repeating a row costs a few bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from curate.core.errors import InputError
from curate.core.types import Sample
from curate.judges.chat_prompt import Layout
from curate.judges.prompts import render_policy
from curate.tuning.conversations import messages_of
from curate.tuning.policy_augmentation import Case

CARD = "README.md"

FEATURES = datasets.Features(
    {
        "key": datasets.Value("string"),
        "image": datasets.Image(),
        "messages": [
            {
                "role": datasets.Value("string"),
                "content": [{"type": datasets.Value("string"), "text": datasets.Value("string")}],
            }
        ],
        "rating": datasets.Value("string"),
        "category": datasets.Value("string"),
        "rationale": datasets.Value("string"),
        "policy": datasets.Value("string"),
        "exception": datasets.Value("bool"),
        "augmentation": datasets.Value("string"),
        "split": datasets.Value("string"),
    }
)
"""Columns. `policy` is the full text, so that a split is a gold set itself: `dataset.policy_column=policy`."""

_GROUP_BYTES = 64 * 2**20
_SHARD_BYTES = 512 * 2**20


def rows_of(sample: Sample, cases: Iterable[Case], layout: Layout) -> list[dict[str, Any]]:
    """The rows of one image, copies included."""
    image = {"bytes": sample.image, "path": Path(sample.image_name).name or None}
    return [row for case in cases for row in [_row(case, image, layout)] * case.copies]


def _row(case: Case, image: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    return {
        "key": case.key,
        "image": image,
        "messages": messages_of(case, layout),
        "rating": case.rating.value,
        "category": case.category,
        "rationale": case.rationale,
        "policy": render_policy(case.policy),
        "exception": case.exception,
        "augmentation": case.augmentation,
        "split": case.split,
    }


class ConversationWriter:
    """Writes the rows of one split to `folder`/SPLIT-00000.parquet and so on; a context manager."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder = folder
        self._split = split
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._shard: pq.ParquetWriter | None = None
        self._shards = 0
        self._shard_bytes = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        if self._shard is not None:
            self._shard.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append the rows of one image."""
        if not rows:
            return
        self._rows += rows
        self.rows += len(rows)
        self._bytes += len(rows[0]["image"]["bytes"])
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._shard is None:
            self._shard = _open(self._folder / f"{self._split}-{self._shards:05d}.parquet")
            self._shards += 1
        self._shard.write_table(pa.Table.from_pylist(self._rows, schema=FEATURES.arrow_schema))
        self._shard_bytes += self._bytes
        self._rows, self._bytes = [], 0
        if self._shard_bytes >= _SHARD_BYTES:
            self._shard.close()
            self._shard, self._shard_bytes = None, 0


def _open(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, FEATURES.arrow_schema, compression="zstd", dictionary_pagesize_limit=2 * _GROUP_BYTES)


def write_card(folder: Path, counts: Mapping[str, int], facts: str) -> None:
    """The card that tells `datasets` which files are which split; written last, it says that the folder is complete.

    `datasets` caches by the card's YAML and not by content, so that a digest of the files stands in it.
    """
    files = [{"split": split, "path": f"{split}-*.parquet"} for split, rows in counts.items() if rows]
    front = {"configs": [{"config_name": "default", "description": digest(folder), "data_files": files}]}
    table = "\n".join(f"| {split} | {rows} |" for split, rows in counts.items())
    (folder / CARD).write_text(
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# Training data for a safeguard\n\n{facts}\n\n"
        f"| split | conversations |\n|---|---|\n{table}\n",
        encoding="utf-8",
    )


def digest(folder: Path) -> str:
    """SHA-256 of the names and contents of all Parquet files in `folder`."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.parquet")):
        with path.open("rb") as file:
            total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """What tuning reads: `datasets.Dataset` of FEATURES with images as their bytes; `dev` may be None.

    `policies` are the texts of those of the training split, read from the disk when they are sliced.
    """

    train: Any
    dev: Any | None
    policies: Any


def load(folder: Path, cache: Path) -> Conversations:
    """The conversations that `tune data` wrote to `folder`, memory-mapped in `cache`.

    Raises:
        InputError: they are not there, or not complete.
    """
    if not (folder / CARD).is_file() or not list(folder.glob("train-*.parquet")):
        raise InputError(f"data={folder}: holds no finished training data; make them with `tune data output.dir=...`")
    train: Any = _split(folder, "train", cache)
    dev = _split(folder, "dev", cache)
    columns = ["key", "image", "messages"]
    return Conversations(
        train=train.select_columns(columns),
        dev=dev and dev.select_columns(columns),
        policies=train["policy"] if "policy" in train.column_names else [],
    )


def _split(folder: Path, split: str, cache: Path) -> Any | None:
    files = sorted(str(path) for path in folder.glob(f"{split}-*.parquet"))
    if not files:
        return None
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(cache))
    if missing := {"image", "messages"} - set(rows.column_names):
        raise InputError(f"data={folder}: no column {sorted(missing)[0]} in {files[0]}; make them with `tune data`")
    return rows.cast_column("image", datasets.Image(decode=False))
