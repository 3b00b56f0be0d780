"""The store behind what a person gives as a run's folder: a path, or the URL of an object store."""

from __future__ import annotations

import re
from pathlib import Path

from curate.core.errors import InputError
from curate.storage.local_store import LocalStore
from curate.storage.retrying_store import RetryingStore
from curate.storage.store import Store

_URL = re.compile(r"(\w+)://")
_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")


def open_store(place: str | Path) -> Store:
    """The run's folder at `place`; nothing is read or written yet.

    Raises:
        InputError: a kind of URL that no store is known for, or one that names no bucket.
    """
    url = _URL.match(str(place))
    if url is None:
        return RetryingStore(LocalStore(place))
    if url[1] not in _SCHEMES:
        raise InputError(f"output.dir={place}: no store for {url[1]}://; give a folder or one of {', '.join(_SCHEMES)}")
    return RetryingStore(_object_store(str(place)))


def is_url(place: str | Path) -> bool:
    """Whether `place` is not a folder of this machine."""
    return _URL.match(str(place)) is not None


def _object_store(url: str) -> Store:
    # Heavy, and of an extra that a run in a folder does not need.
    try:
        from curate.storage.object_store import open_object_store
    except ModuleNotFoundError as error:
        raise InputError(f"output.dir={url}: object stores need `pip install 'curate[s3]'` ({error.name})") from error
    try:
        return open_object_store(url)
    except ValueError as error:
        raise InputError(f"output.dir={url}: {error}; give e.g. s3://bucket/runs/one") from error
