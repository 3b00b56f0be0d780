"""Gold sets that are folders: images sorted as rating/category/, a metadata file, or a data set of `datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curate.core.errors import InputError
from curate.evaluation.files import Aliases, choose_columns, read_table
from curate.sources.base import IMAGE_SUFFIXES, images_below

HUB_PREFIX = "datasets:"
METADATA = ("metadata.parquet", "metadata.jsonl", "metadata.csv")


def read_folder(path: Path, aliases: Aliases, required: Sequence[str]) -> pl.DataFrame:
    """The rows behind a folder, told by what lies in it.

    Raises:
        InputError: nothing in it is known.
    """
    if _saved_to_disk(path):
        return read_dataset(f"{HUB_PREFIX}{path}", aliases, required)
    for name in METADATA:
        if (path / name).exists():
            rows = read_table(path / name, aliases, required)
            return rows.with_columns(_keys(rows["key"]))
    return _read_image_folder(path)


def _saved_to_disk(path: Path) -> bool:
    return (path / "dataset_dict.json").exists() or (path / "state.json").exists()


def _read_image_folder(path: Path) -> pl.DataFrame:
    """Rows of rating/category/image or rating/image; the key is the path below `path` without its suffix."""
    rows = [_row_of(file.relative_to(path)) for file in images_below(path)]
    if not rows:
        raise InputError(f"{path}: no gold set; expected rating/category/image files, {', '.join(METADATA)}")
    return pl.DataFrame(rows, schema={"key": pl.String, "rating": pl.String, "category": pl.String})


def _row_of(file: Path) -> dict[str, str | None]:
    if len(file.parts) < 2:
        raise InputError(f"{file}: an image outside the folders; sort images as rating/category/image")
    return {
        "key": file.with_suffix("").as_posix(),
        "rating": file.parts[0],
        "category": file.parts[1] if len(file.parts) > 2 else None,
    }


def _keys(names: pl.Series) -> pl.Series:
    """File names without the suffix of an image, which is what a run over the folder calls its samples."""
    suffixes = "|".join(sorted(IMAGE_SUFFIXES))
    return names.cast(pl.String).str.replace(rf"(?i)\.({suffixes})$", "")


def read_dataset(source: str, aliases: Aliases, required: Sequence[str]) -> pl.DataFrame:
    """A data set by `datasets`, all splits; the split's name becomes the column `split`. No image is decoded.

    Raises:
        InputError: `datasets` cannot load it, or a column of `required` is missing.
    """
    import datasets

    name = source.removeprefix(HUB_PREFIX)
    try:
        loaded = datasets.load_from_disk(name) if _saved_to_disk(Path(name)) else datasets.load_dataset(name)
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: `datasets` cannot load it: {str(error).splitlines()[0]}") from error
    splits = loaded if isinstance(loaded, dict) else {None: loaded}
    return pl.concat(
        [_split_rows(data, split, aliases, required, source) for split, data in splits.items()], how="diagonal_relaxed"
    )


def _split_rows(data: Any, split: str | None, aliases: Aliases, required: Sequence[str], source: str) -> pl.DataFrame:
    chosen = choose_columns(data.column_names, aliases, required, source)
    table = data.select_columns(list(chosen.values())).with_format("arrow")[:]
    frame = pl.DataFrame(table).select(pl.col(theirs).alias(ours) for ours, theirs in chosen.items())
    if split is None or "split" in frame.columns:
        return frame
    return frame.with_columns(pl.lit(split).alias("split"))
