"""Shards that are one file each."""

from __future__ import annotations

from collections.abc import Sequence

from curate.core.errors import InputError
from curate.core.secrets import one_line
from curate.core.types import ShardRef
from curate.settings.dataset import DatasetSettings
from curate.sources.base import shard_id
from curate.sources.files import STORAGE_ERRORS, Files, file_name, unreadable


def shards_of_files(urls: Sequence[str], dataset: DatasetSettings, format: str) -> list[ShardRef]:  # noqa: A002
    """A shard for each of the `urls`, in order.

    Raises:
        InputError: the storage does not give them.
    """
    try:
        infos = Files(dataset.storage_options).infos(urls)
    except STORAGE_ERRORS as error:
        raise InputError(f"dataset.shards: {one_line(error)}") from error
    return [
        ShardRef(
            id=shard_id(file_name(info.url).partition(".")[0], info.url),
            url=info.url,
            format=format,
            bytes=info.size,
            version=info.version,
        )
        for info in infos
    ]


def version_of_file(shard: ShardRef, dataset: DatasetSettings) -> str | None:
    """What the version of a shard would be if the plan were made now.

    Raises:
        ShardUnreadable: it is not there.
    """
    try:
        return Files(dataset.storage_options).info(shard.url).version
    except STORAGE_ERRORS as error:
        raise unreadable(shard.url, error) from error
