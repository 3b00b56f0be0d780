"""The images of a gold set: in the gold set itself, in a run's sources, or in any data set that can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import InputError
from curate.core.types import Sample
from curate.evaluation.gold import ALIASES
from curate.runs.plan import make_plan
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.registry import source_for


def dataset_of_gold(gold: str) -> DatasetSettings:
    """A gold set as a data set: Parquet with a column of images, or a folder of images.

    Raises:
        InputError: it has no images of its own.
    """
    path = Path(gold)
    if path.is_dir():
        return DatasetSettings(name="gold", shards=[gold], format="folder")
    if path.suffix.lower() != ".parquet":
        raise InputError(f"{gold}: holds no images; say where they are with +dataset=NAME and dataset.shards=")
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{gold}: does not read as Parquet; name a gold set with images") from error
    key = next((name for name in ALIASES["key"] if name in names), None)
    return DatasetSettings(name="gold", shards=[gold], format="parquet", key=key, image=_image_column(names))


def images_of(keys: Collection[str], dataset: DatasetSettings) -> Iterator[Sample]:
    """The samples with these keys, each key once, in the order of the source.

    Raises:
        InputError: keys have no image there; raised behind the last sample.
        ShardUnreadable: a shard cannot be opened.
    """
    missing = set(keys)
    for sample in _samples(dataset):
        if sample.key in missing and sample.image is not None:
            missing.remove(sample.key)
            yield sample
        if not missing:
            return
    raise InputError(
        f"{len(missing)} keys of the gold set have no image in {dataset.name}, e.g. '{min(missing)}'; "
        "name their source with +dataset=NAME, or take these rows out"
    )


def _samples(dataset: DatasetSettings) -> Iterator[Sample]:
    for shard in make_plan(dataset).shards:
        try:
            yield from source_for(shard.format).samples(shard, dataset)
        except ShardBroken as broken:
            raise InputError(f"{shard.url}: breaks off at sample {broken.damage.index}; mend it") from broken


def _image_column(names: Collection[str]) -> str | None:
    return "image" if "image" in names else None
