"""What data are called that nobody gave a name: the same for the same shards, whenever and however often it is asked.

The name is that of the folder that the shards lie in, or of the only file or folder that there is. Where it says next
to nothing (`train`, `data`), the folder above it stands before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

_WILD = re.compile(r"[*?\[{]")
_SCHEME = re.compile(r"\w+://")
_SUFFIX = re.compile(r"\.(tar|tgz|parquet)(\.\w+)?$|\.tar\.\w+$")
_VAGUE = {"data", "dataset", "images", "shards", "test", "train", "training", "val", "valid", "validation"}


def named_after(shards: Sequence[str], *, on_hub: bool = False) -> str:
    """A name for the data in `shards`, fit to be a folder's; `on_hub` where these are names on the hub."""
    places = [_place(shard, on_hub=on_hub) for shard in shards]
    folders = [place if _is_file_or_folder(place) and len(places) == 1 else place[:-1] for place in places]
    parts = [_stem(part) for part in _common(folders) or places[0]]
    words = parts[-2:] if parts[-1].lower() in _VAGUE else parts[-1:]
    return re.sub(r"[^\w.-]+", "_", "_".join(words)).strip("._-") or "dataset"


def _place(shard: str, *, on_hub: bool) -> tuple[str, ...]:
    """The parts of a path up to and with the first that stands for many; of a URL without its scheme."""
    scheme = _SCHEME.match(shard)
    path = shard[scheme.end() :].partition("?")[0] if scheme and scheme[0].startswith("http") else shard
    if scheme:
        path = path.removeprefix(scheme[0])
    elif not on_hub:
        path = os.path.normpath(Path(path).expanduser().absolute())
    parts = [part for part in PurePosixPath(path).parts if part != "/"]
    plain = list(takewhile(lambda part: not _WILD.search(part), parts))
    return tuple(parts[: len(plain) + 1]) or ("dataset",)


def _is_file_or_folder(place: tuple[str, ...]) -> bool:
    """Whether the last part is a name by itself: no pattern, and not only a number as shards have one."""
    return not _WILD.search(place[-1]) and (len(place) == 1 or not _stem(place[-1]).isdecimal())


def _common(folders: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    first, *others = folders
    same = takewhile(lambda column: len(set(column)) == 1, zip(first, *others, strict=False))
    return tuple(column[0] for column in same)


def _stem(name: str) -> str:
    return _SUFFIX.sub("", name)
