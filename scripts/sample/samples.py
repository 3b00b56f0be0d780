"""From manifest rows to samples: bytes, caption and the metadata columns of LAION and img2dataset."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from drawings.archives import read_members
from drawings.origins import ORIGINS as DRAWN
from drawings.origins import Origin
from drawings.raster import member_of
from PIL import Image

from sample.faults import FAULTS
from sample.manifest import Row, key_of
from sample.render import compose, drawing, encode

ORIGINS = {
    **DRAWN,
    "made": Origin(
        name="made by the build script",
        style="blank",
        license="Apache-2.0",
        license_url="https://www.apache.org/licenses/LICENSE-2.0",
        page="",
        url="urn:curate:sample:blank",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample, ready to be written; `extension` is "" and `image` None where there is no picture."""

    key: str
    row: Row
    extension: str
    image: bytes | None
    meta: dict[str, Any]

    def members(self) -> dict[str, bytes]:
        """Tar members by extension."""
        texts = {"txt": self.meta["caption"].encode(), "json": json.dumps(self.meta, indent=4).encode()}
        return texts if self.image is None else {self.extension: self.image, **texts}


def make_samples(rows: Iterable[Row], archives: Path) -> list[Sample]:
    """All samples in the order of `rows`, from the archives in the folder `archives`."""
    numbered = sorted(enumerate(rows), key=lambda item: item[1].source)
    by_source = groupby(numbered, key=lambda item: item[1].source)
    samples = [s for source, group in by_source for s in _of_one_source(source, list(group), archives)]
    return sorted(samples, key=lambda sample: sample.key)


def _of_one_source(source: str, numbered: list[tuple[int, Row]], archives: Path) -> Iterator[Sample]:
    paths = {member_of(source, row.ref) for _, row in numbered}
    drawings = {} if source == "made" else read_members(archives, source, paths)
    for position, row in numbered:
        yield _sample(key_of(position), row, drawings.get(member_of(source, row.ref)))


def _sample(key: str, row: Row, member: bytes | None) -> Sample:
    drawn = Image.new("RGBA", (1, 1)) if member is None else drawing(row, member)
    fault = FAULTS.get(row.fault)
    if fault is None:
        extension, image, exif = row.format, encode(compose(row, drawn), row.format), "{}"
    else:
        # The blank picture is far too large to be composed.
        picture = drawn if member is None else compose(row, drawn)
        extension, image, exif = fault.extension, fault.make(picture, drawn), fault.exif
    return Sample(key=key, row=row, extension=extension, image=image, meta=_meta(key, row, image, exif))


def _meta(key: str, row: Row, image: bytes | None, exif: str) -> dict[str, Any]:
    origin = ORIGINS[row.source]
    url, caption = origin.url + quote(row.ref), _caption(row, origin.style)
    width, height = _size(image)
    return {
        "url": url,
        "caption": caption,
        "similarity": None,
        "hash": int.from_bytes(hashlib.sha256((url + caption).encode()).digest()[:8], "big", signed=True),
        "punsafe": float(row.punsafe) if row.punsafe else None,
        "pwatermark": None,
        "object": row.object,
        "topic": row.topic,
        "style": origin.style,
        "author": row.author,
        "license": origin.license,
        "source": origin.name,
        "key": key,
        "status": "success",
        "error_message": None,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "exif": exif,
        "sha256": None if image is None else hashlib.sha256(image).hexdigest(),
    }


def _caption(row: Row, style: str) -> str:
    keywords = row.keywords or row.topic
    return f"{row.object[0].upper()}{row.object[1:]}, drawn as {style} and tagged {keywords.replace(';', ',')}."


def _size(image: bytes | None) -> tuple[int | None, int | None]:
    """Width and height as the file's header says, before any turning by EXIF."""
    try:
        with Image.open(io.BytesIO(image or b"")) as picture:
            return picture.size
    except OSError:
        return None, None
