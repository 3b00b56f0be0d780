"""Lists of pictures: CSV, TSV and JSON lines, with paths of files below the folder the list lies in, or base64.

A list is read a line at a time. What a line says stands in `meta`, and as JSON in the sidecar.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from curate.core.errors import InputError, ShardUnreadable
from curate.core.secrets import one_line
from curate.core.types import Damage, Failure, Sample, ShardRef, Status
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken, too_many_bytes
from curate.sources.file_shards import shards_of_files, version_of_file
from curate.sources.files import Files, file_name, folder_of
from curate.sources.meta import READ_BYTES, plain
from curate.sources.names import to_text
from curate.sources.own_files import OwnFiles
from curate.sources.passed_over import Note, ignored
from curate.sources.text_images import Fetch, TextImage, choose, image_of, is_encoded, why_none

_KEY_NAMES = ("key", "__key__")
_LOOKED_AT = 64
"""Lines at the beginning that tell which column holds the pictures."""
_LONGEST_LINE = 2**28
_BEGINNING = 256
_BROKEN = (csv.Error, ValueError, RecursionError)

Line = Mapping[str, Any] | str
"""What a line says; or why it says nothing."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of pictures, and that of keys."""

    images: tuple[str, ...]
    key: str | None


class ManifestSource:
    """Lists of pictures; one shard each."""

    format = "manifest"

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """See `Source`."""
        shards = shards_of_files(urls, dataset, self.format)
        _check_first(shards[0].url, dataset)
        return shards

    def samples(self, shard: ShardRef, dataset: DatasetSettings, note: Note = ignored) -> Iterator[Sample]:
        """See `Source`."""
        index = 0
        fetch = OwnFiles(folder_of(shard.url), dataset).read
        with Files(dataset.storage_options).open(shard.url) as raw:
            try:
                columns, lines = _begun(_lines(raw, shard.url), dataset, shard.url)
                for line in lines:
                    yield from _samples(line, index, columns, shard, dataset, fetch)
                    index += 1
            except InputError as error:
                raise ShardUnreadable(str(error)) from error
            except _BROKEN as error:
                raise ShardBroken(Damage(index=index, reason=one_line(error))) from error

    def count(self, shard: ShardRef, dataset: DatasetSettings, most: int, note: Note = ignored) -> int:
        """See `Source`."""
        counted = 0
        with Files(dataset.storage_options).open(shard.url) as raw:
            try:
                for _ in islice(_lines(raw, shard.url), most):
                    counted += 1
            except _BROKEN:
                pass
        return counted

    def version(self, shard: ShardRef, dataset: DatasetSettings) -> str | None:
        """See `Source`."""
        return version_of_file(shard, dataset)


def _lines(raw: io.BufferedReader, url: str) -> Iterator[Line]:
    """What each line says, in order; empty lines say nothing and are none."""
    name = file_name(url).lower()
    return _json_lines(raw) if name.endswith((".jsonl", ".ndjson")) else _table(raw, tabs=name.endswith(".tsv"))


def _json_lines(raw: io.BufferedReader) -> Iterator[Line]:
    while line := raw.readline(_LONGEST_LINE):
        if len(line) >= _LONGEST_LINE:
            while line and not line.endswith(b"\n"):
                line = raw.readline(_LONGEST_LINE)
            yield f"a line of more than {_LONGEST_LINE} bytes"
        elif line.strip(b"\xef\xbb\xbf \t\r\n"):
            yield _parsed(line)


def _parsed(line: bytes) -> Line:
    try:
        said = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return f"a line that is no JSON ({type(error).__name__}: {error})"[:200]
    return said if isinstance(said, dict) else f"a line with {type(said).__name__} where an object is expected"


def _table(raw: io.BufferedReader, *, tabs: bool) -> Iterator[Line]:
    csv.field_size_limit(_LONGEST_LINE)
    text = (to_text(line) for line in _bounded(raw))
    header = next(text, "")
    header = header.removeprefix("\ufeff")
    delimiter = "\t" if tabs else max(",;\t", key=header.count)
    rows = csv.reader(chain([header], text), delimiter=delimiter)
    names = next(rows, [])
    for row in rows:
        if row:
            yield dict(zip(names, row, strict=False))


def _bounded(raw: io.BufferedReader) -> Iterator[bytes]:
    while line := raw.readline(_LONGEST_LINE):
        if len(line) >= _LONGEST_LINE:
            raise ValueError(f"a line of more than {_LONGEST_LINE} bytes")
        yield line


def _begun(lines: Iterator[Line], dataset: DatasetSettings, url: str) -> tuple[_Columns, Iterator[Line]]:
    """The columns of a list, by its first lines, and all of its lines.

    Raises:
        InputError: there is no column with pictures, or a named one is not there.
    """
    first = list(islice(lines, _LOOKED_AT))
    rows = [line for line in first if isinstance(line, Mapping)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    named = [*(("image", name) for name in dataset.images or ()), ("key", dataset.key)]
    for option, name in named:
        if rows and name is not None and name not in names:
            raise InputError(f"{url}: no column {name!r} (dataset.{option}); there are {', '.join(names)}")
    key = dataset.key or next((name for name in _KEY_NAMES if name in names), None)
    if dataset.images is not None:
        return _Columns(dataset.images, key), chain(first, lines)
    values = {name: [text for row in rows for text in _texts(row.get(name))] for name in names}
    images = choose(values)
    if rows and not images:
        raise InputError(f"{url}: no image column among {', '.join(names)}; {why_none(values) or _NAME_IT}")
    return _Columns(tuple(images), key), chain(first, lines)


_NAME_IT = "dataset.image=COLUMN names the one with the paths, below the folder that the list lies in, or with base64"


def _texts(value: Any) -> Iterator[str]:
    """The texts that may be pictures: one, those of a list, the path or bytes of an image as `datasets` has it."""
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name in ("bytes", "path"):
            if isinstance(value.get(name), str) and value[name]:
                yield value[name]
                return


def _samples(
    line: Line, index: int, columns: _Columns, shard: ShardRef, dataset: DatasetSettings, fetch: Fetch
) -> Iterator[Sample]:
    """A picture each; the first carries the sample."""
    number = f"{index:09d}"
    numbered = f"{shard.id}/{number}" if dataset.row_names == "full" else number
    if isinstance(line, str):
        yield Sample(key=numbered, index=index, image=None, failure=Failure(status=Status.MISSING_IMAGE, detail=line))
        return
    key = line.get(columns.key) if columns.key else None
    found = [(part, text) for name in columns.images for part, text in _parts(name, line.get(name))]
    meta = plain({name: _short(value) for name, value in line.items()})
    said = json.dumps(line, ensure_ascii=True).encode()
    for picture, (part, text) in enumerate(found or [(None, "")]):
        image = image_of(text.encode("utf-8", "replace"), fetch) if part else TextImage(None)
        held = image.image is None or len(image.image) <= dataset.max_bytes
        yield Sample(
            key=str(key) if key not in (None, "") else numbered,
            index=index,
            picture=picture,
            part=part,
            image=image.image if held else None,
            image_name=image.path,
            sidecar={"json": said} if picture == 0 else {},
            meta=meta if isinstance(meta, dict) else {},
            failure=image.failure if held else too_many_bytes(len(image.image or b""), dataset),
            sha256=None if held else hashlib.sha256(image.image or b"").hexdigest(),
        )


def _parts(name: str, value: Any) -> list[tuple[str, str]]:
    texts = list(_texts(value))
    return [(name, text) for text in texts] if len(texts) < 2 else [(f"{name}[{n}]", t) for n, t in enumerate(texts)]


def _short(value: Any) -> Any:
    """`value` with the lengths of pictures in base64."""
    if isinstance(value, str) and len(value) > _BEGINNING:
        encoded = len(value) > READ_BYTES or is_encoded(value[:_BEGINNING].encode("utf-8", "replace"))
        return f"<{len(value)} characters>" if encoded else value
    if isinstance(value, list):
        return [_short(item) for item in value]
    return {name: _short(item) for name, item in value.items()} if isinstance(value, dict) else value


def _check_first(url: str, dataset: DatasetSettings) -> None:
    """A wrong column is the user's mistake in every list alike: say so before an engine starts."""
    try:
        with Files(dataset.storage_options).open(url) as raw:
            _begun(_lines(raw, url), dataset, url)
    except InputError:
        raise
    except (ShardUnreadable, *_BROKEN):
        return
