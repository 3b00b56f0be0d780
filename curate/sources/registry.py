"""Formats that samples are read from; see README.md. Another one is one new file and one line in SOURCES."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from curate.core.errors import InputError
from curate.sources.base import Source
from curate.sources.files import STORAGE_ERRORS, Files, file_name
from curate.sources.folder import FolderSource
from curate.sources.hub import HubSource
from curate.sources.parquet import ParquetSource
from curate.sources.webdataset import WebDatasetSource

SOURCES: Mapping[str, Source] = MappingProxyType(
    {source.format: source for source in (WebDatasetSource(), ParquetSource(), FolderSource(), HubSource())}
)
"""Every source by its format."""

SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "webdataset": (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"),
        "parquet": (".parquet",),
    }
)
"""File name endings that tell a format; where a folder holds files of several, the first of these formats counts."""


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
    return next((known for known, endings in SUFFIXES.items() if name.endswith(endings)), None)


def detect_format(url: str, storage_options: Mapping[str, Any] | None = None) -> str:
    """The format of a shard by its name, or "folder" for a folder.

    Raises:
        InputError: the name tells nothing.
    """
    known = format_of_name(url)
    if known is not None:
        return known
    try:
        if Files(storage_options or {}).info(url).is_folder:
            return "folder"
    except STORAGE_ERRORS:
        pass
    endings = ", ".join(ending for group in SUFFIXES.values() for ending in group)
    raise InputError(f"{url}: neither a folder nor one of {endings}; say what it is with dataset.format=")
