"""WebDataset split files: a tar with the members of each sample, byte for byte.

A sample that WebDataset would make of its own names keeps them, in order. Any other (a Parquet row, a key with a dot)
gets members KEY.<image format>, KEY.json (its fields) and KEY.<sidecar name>. There KEY is the sample's key with
everything but letters, digits, "-" and "_" as %XX, because WebDataset ends a key at the first dot of the base name;
`urllib.parse.unquote` gives the key back. Headers are constant, so that equal samples make equal files.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from urllib.parse import quote

from curate.errors import InputError
from curate.filtering.rows import Row
from curate.filtering.writer import Format
from curate.images import sniff_format
from curate.settings import DatasetSettings, FilterSettings
from curate.sources.names import to_bytes, to_text
from curate.sources.rows import COLUMNS
from curate.sources.webdataset import key_and_suffix
from curate.types import Sample

Member = tuple[str, bytes]


class TarWriter:
    """Writes members; see `curate.filtering.writer.SplitWriter`."""

    def __init__(self, path: Path, filtering: FilterSettings, dataset: DatasetSettings) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `close`
        self._last_key: str | None = None

    def add(self, row: Row) -> None:
        """See `SplitWriter`.

        Raises:
            InputError: the sample's key equals that of the sample before it in this file, and its names must not
                change: the two would be read as one sample.
        """
        sample = row.sample
        if sample is None:
            raise AssertionError("a WebDataset split holds the samples themselves")
        members = _own_members(sample)
        if members and sample.key == self._last_key:
            raise InputError(
                f"shard {row.decision.shard}: key {sample.key!r} comes twice, and in a tar of this split the two "
                "would be read as one sample; use filter.write=parquet"
            )
        for name, data in members or self._new_members(sample, row.decision.meta):
            self._add(name, data)

    def close(self) -> None:
        """See `SplitWriter`."""
        self._tar.close()

    def _new_members(self, sample: Sample, meta: str) -> list[Member]:
        """Members of a sample that had none, under a key that differs from the last one's."""
        key = _safe(sample.key)
        if not key or key == self._last_key:
            key = f"{key}%23{sample.index}"
        image = [] if sample.image is None else [(sniff_format(sample.image) or "bin", sample.image)]
        fields = [] if "json" in sample.sidecar else [("json", meta.encode())]
        return [(f"{key}.{name}", data) for name, data in (*image, *fields, *sample.sidecar.items())]

    def _add(self, name: str, data: bytes) -> None:
        header = tarfile.TarInfo(to_bytes(name).decode("utf-8", "surrogateescape"))
        header.size = len(data)
        self._tar.addfile(header, io.BytesIO(data))
        self._last_key = _key_of(name)
        # tarfile remembers every header it wrote, which nobody asks for here.
        self._tar.members.clear()  # type: ignore[attr-defined]


def _own_members(sample: Sample) -> list[Member]:
    """The sample's members as they stand in its source; empty where they would not be one sample under its key."""
    if COLUMNS in sample.sidecar:
        return []
    members = [(f"{sample.key}.{suffix}", data) for suffix, data in sample.sidecar.items()]
    if sample.image is not None:
        members.insert(sample.image_at, (sample.image_name, sample.image))
    return members if all(_key_of(name) == sample.key for name, _ in members) else []


def _key_of(name: str) -> str | None:
    """What WebDataset takes for the key of a member; None where it passes the member over."""
    split = key_and_suffix(to_bytes(name))
    return to_text(split[0]) if split else None


def _safe(key: str) -> str:
    return quote(key, safe="").replace(".", "%2E").replace("~", "%7E")


WEBDATASET = Format(suffix="tar", open=TarWriter, own_card=True)
