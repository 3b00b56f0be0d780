"""Formats that samples are read from; see README.md. Another one is one new file and one line in SOURCES."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from curate.core.errors import InputError
from curate.sources.arrow import ArrowSource
from curate.sources.base import Source
from curate.sources.files import STORAGE_ERRORS, Files, file_name
from curate.sources.folder import FolderSource
from curate.sources.hub import HubSource
from curate.sources.kinds import by_content, by_name
from curate.sources.manifest import ManifestSource
from curate.sources.parquet import ParquetSource
from curate.sources.webdataset import WebDatasetSource
from curate.sources.zip import ZipSource

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.format: source
        for source in (
            *(WebDatasetSource(), ParquetSource(), ArrowSource(), ZipSource(), ManifestSource()),
            *(FolderSource(), HubSource()),
        )
    }
)
"""Every source by its format."""

SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "webdataset": (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"),
        "parquet": (".parquet",),
        "arrow": (".arrow", ".feather"),
        "zip": (".zip",),
        "manifest": (".jsonl", ".ndjson", ".csv", ".tsv"),
    }
)
"""File name endings that tell a format; where a folder holds files of several, the first of these formats counts."""

BESIDE_IMAGES = ("zip", "manifest")
"""Formats of files that lie in a folder of images too; where there are images, the folder itself is the shard."""
_CACHE = "cache-"
"""What `datasets` calls copies beside the files of a saved data set."""


def source_for(format: str) -> Source:  # noqa: A002
    """The source of a format.

    Raises:
        InputError: there is none of that name.
    """
    if format not in SOURCES:
        raise InputError(f"dataset.format={format}: not one of auto, {', '.join(SOURCES)}")
    return SOURCES[format]


def format_of_name(url: str) -> str | None:
    """The format that a file's name tells, None where it tells none."""
    name = file_name(url).lower()
    if name.startswith(_CACHE) and name.endswith(".arrow"):
        return None
    return next((known for known, endings in SUFFIXES.items() if name.endswith(endings)), None)


def detect_format(url: str, storage_options: Mapping[str, Any] | None = None) -> str:
    """The format of a shard by its name, or "folder" for a folder.

    Raises:
        InputError: the name tells nothing.
    """
    known = format_of_name(url)
    if known is not None:
        return known
    files = Files(storage_options or {})
    try:
        if files.info(url).is_folder:
            return "folder"
    except STORAGE_ERRORS:
        pass
    what = by_name(url) or by_content(url, files)
    if what is not None:
        raise InputError(f"{url}: {what}")
    endings = ", ".join(ending for group in SUFFIXES.values() for ending in group)
    raise InputError(f"{url}: neither a folder nor one of {endings}; say what it is with dataset.format=")
