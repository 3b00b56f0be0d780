"""WebDataset split files: a tar with the members of each sample, byte for byte.

A sample that WebDataset would make of its own names keeps them, in order. Any other (a Parquet row, a key with a dot)
gets members KEY.<image format>, KEY.json (its fields) and KEY.<sidecar name>. There KEY is the sample's key with
everything but letters, digits, "-" and "_" as %XX, because WebDataset ends a key at the first dot of the base name;
`urllib.parse.unquote` gives the key back. A key that would come twice in a row, so that two samples would be read as
one, has %23INDEX appended. Headers are constant, so that equal samples make equal files.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from urllib.parse import quote

from curate.core.types import Sample
from curate.filtering.decisions import Row
from curate.filtering.writer import Format
from curate.images.formats import sniff_format
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings
from curate.sources.names import to_bytes, to_text
from curate.sources.row_columns import COLUMNS
from curate.sources.webdataset import key_and_suffix

Member = tuple[str, bytes]
"""Suffix without the dot, and bytes."""


class TarWriter:
    """Writes members; see `curate.filtering.writer.SplitWriter`."""

    def __init__(self, path: Path, part: str, filtering: FilterSettings, dataset: DatasetSettings) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `close`
        self._last_key: str | None = None

    def add(self, row: Row) -> None:
        """See `SplitWriter`."""
        key, members = _own_members(row.sample) or _new_members(row.sample, row.decision.meta)
        if key == self._last_key:
            key = f"{key}%23{row.sample.index}"
        for suffix, data in members:
            self._add(f"{key}.{suffix}", data)
        self._last_key = key

    def close(self) -> None:
        """See `SplitWriter`."""
        self._tar.close()

    def _add(self, name: str, data: bytes) -> None:
        header = tarfile.TarInfo(to_bytes(name).decode("utf-8", "surrogateescape"))
        header.size = len(data)
        self._tar.addfile(header, io.BytesIO(data))
        # tarfile remembers every header it wrote, which nobody asks for here.
        self._tar.members.clear()  # type: ignore[attr-defined]


def _own_members(sample: Sample) -> tuple[str, list[Member]] | None:
    """Key and members as they stand in the source; None where WebDataset would not make this sample of them.

    Nor where there are none, because all of them are too large to be copied.
    """
    key, suffix = _split(sample.image_name or f"{sample.key}.")
    if COLUMNS in sample.sidecar or key != sample.key:
        return None
    members = list(sample.sidecar.items())
    if sample.image is not None:
        members.insert(sample.image_at, (suffix, sample.image))
    return (key, members) if members else None


def _new_members(sample: Sample, meta: str) -> tuple[str, list[Member]]:
    """Key and members of a sample that never was in a tar."""
    image = [] if sample.image is None else [(sniff_format(sample.image) or "bin", sample.image)]
    fields = [] if "json" in sample.sidecar else [("json", meta.encode())]
    key = quote(sample.key, safe="").replace(".", "%2E").replace("~", "%7E")
    return key or f"%23{sample.index}", [*image, *fields, *sample.sidecar.items()]


def _split(name: str) -> tuple[str | None, str]:
    """What WebDataset takes for the key and the suffix of a member; no key where it passes the member over."""
    split = key_and_suffix(to_bytes(name))
    return (to_text(split[0]), to_text(split[1])) if split else (None, "")


WEBDATASET = Format(suffix="tar", open=TarWriter, own_card=True)
