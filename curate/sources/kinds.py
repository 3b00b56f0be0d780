"""What is no format that is read, named for what it is, with the one thing to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from curate.core.errors import ShardUnreadable
from curate.sources.files import STORAGE_ERRORS, Files, file_name

_BEGINNING = 512

_XZ = "an xz archive, which is not read: write it again by `xz -dc FILE.tar.xz | zstd -o FILE.tar.zst`"
_BZIP2 = "a bzip2 archive, which is not read: write it again by `bzip2 -dc FILE.tar.bz2 | zstd -o FILE.tar.zst`"
_LZ4 = "an lz4 archive, which is not read: write it again by `lz4 -dc FILE.tar.lz4 | zstd -o FILE.tar.zst`"
_CPIO = "a cpio archive, whatever its name: unpack it by `cpio -id < FILE`, and name the folder"
_AGAIN = "write its images as tars (webdataset) or Parquet (`datasets`) first"
_STORES = (".h5", ".hdf5", ".npz", ".npy", ".lmdb", ".mdb", ".pkl", ".pt", ".rec", ".beton", ".mds")

_BY_ENDING: Mapping[tuple[str, ...], str] = {
    (".tar.xz", ".txz"): _XZ,
    (".tar.bz2", ".tbz2", ".tbz"): _BZIP2,
    (".tar.lz4",): _LZ4,
    (".tfrecord", ".tfrecords", ".tfrec"): f"TFRecord, which is not read: {_AGAIN}",
    _STORES: f"arrays, or the store of a library, which are not read: {_AGAIN}",
    (".rar", ".7z"): "an archive that is not read: unpack it, and name the folder",
    (".json",): "JSON, which is read as lines, one object each: `jq -c '.[]' FILE.json > FILE.jsonl`",
    (".xlsx", ".xls", ".db", ".sqlite"): "a table that is not read: save it as CSV",
}

_BY_MAGIC = (
    (b"PK\x03\x04", "a zip, whatever its name: call it .zip, or set dataset.format=zip"),
    (b"\xfd7zXZ\0", _XZ),
    (b"BZh", _BZIP2),
    (b"\x04\x22\x4d\x18", _LZ4),
    (b"070701", _CPIO),
    (b"070702", _CPIO),
    (b"070707", _CPIO),
    (b"\xc7\x71", _CPIO),
    (b"Rar!", "a rar archive, whatever its name: unpack it, and name the folder"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, whatever its name: unpack it, and name the folder"),
    (b"PAR1", "Parquet, whatever its name: call it .parquet, or set dataset.format=parquet"),
    (b"ARROW1", "an Arrow file, whatever its name: call it .arrow, or set dataset.format=arrow"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file: fetch it by `git lfs pull`"),
    (b"<!DOCTYPE", "a web page, not the file: download it again"),
    (b"<!doctype", "a web page, not the file: download it again"),
    (b"<html", "a web page, not the file: download it again"),
)

_PIPE = re.compile(r"pipe:\s*(?:aws s3 cp|gsutil (?:-m )?(?:cp|cat)|cat|curl(?: -\w+)*)\s+['\"]?([^\s'\"]+)")


def by_name(url: str) -> str | None:
    """What a name says, as a half-sentence with what to do; None where it says nothing."""
    name = file_name(url).lower()
    if url.startswith("pipe:"):
        inner = _PIPE.match(url)
        return (
            f"a command, and none is run for data: give the files themselves, as in {inner[1] if inner else 's3://...'}"
        )
    return next((what for endings, what in _BY_ENDING.items() if name.endswith(endings)), None)


def by_content(url: str, files: Files) -> str | None:
    """What the first bytes of a file say, as `by_name`; None where it cannot be read."""
    try:
        with files.open(url, _BEGINNING) as file:
            beginning = file.read(_BEGINNING)
    except (*STORAGE_ERRORS, ShardUnreadable, ValueError):
        return None
    return by_beginning(beginning)


def by_beginning(beginning: bytes) -> str | None:
    """What the first 512 bytes of a file say, as `by_name`; of a tar nothing, as it begins with a member's name."""
    if beginning[257:262] == b"ustar":
        return None
    return next((what for magic, what in _BY_MAGIC if beginning.startswith(magic)), None)
