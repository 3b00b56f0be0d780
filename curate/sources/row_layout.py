"""Which columns of a file samples are made of: those of pictures, and that of keys.

What is a picture is told by the column's type (images as `datasets` stores them) and by the first bytes, also of texts,
which may hold pictures as base64. Where a file holds no bytes at all, columns of paths are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from curate.core.errors import InputError
from curate.settings.dataset import DatasetSettings
from curate.sources.arrow_types import holds_bytes, holds_images, holds_texts, is_binary, plain_type, text_arrays
from curate.sources.class_names import Features, features_of
from curate.sources.text_images import IMAGE_NAMES, TEXT_NAMES, choose, why_none

_LOOKED_AT = 64
"""Texts of a column in its first rows, which tell what it holds."""

_KEY_NAMES = ("key", "__key__")


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a file's columns samples are made of.

    Attributes:
        certain: positions of columns whose every image and every binary value is a picture, whatever it looks like.
        possible: positions of further columns that may hold pictures, which their first bytes tell.
        texts: positions of possible ones that hold texts and no bytes.
        otherwise: position of the one whose value counts as the picture of a row that has none else; or None.
        chosen: whether only those in `certain` are judged.
        key: position of the column of keys; without one rows are numbered.
        before_numbers: what stands before the number in the key of a row that has none.
        classes: columns whose numbers have names, as `class_names` reads them.
    """

    certain: tuple[int, ...]
    possible: tuple[int, ...]
    otherwise: int | None
    chosen: bool
    key: int | None
    texts: frozenset[int] = frozenset()
    before_numbers: str = ""
    classes: Features = field(default_factory=dict)


def layout(
    schema: pa.Schema, dataset: DatasetSettings, url: str, shard: str = "", first: pa.RecordBatch | None = None
) -> Layout:
    """The columns of a file that samples are made of.

    Args:
        schema: of the file, with its metadata.
        dataset: how it is read.
        url: of the file.
        shard: id of the shard that it is.
        first: its first rows, which tell what texts are; None where they are not known yet, or there are none.

    Raises:
        InputError: there is no image column, or a named one is not there.
    """
    images = [("image", name) for name in dataset.images or ()]
    named = [*images, ("key", dataset.key), ("policy_column", dataset.policy_column)]
    for option, name in named:
        if name is not None and name not in schema.names:
            raise InputError(f"{url}: no column {name!r} (dataset.{option}); there are {', '.join(schema.names)}")
        if name is not None and schema.names.count(name) > 1:
            raise InputError(f"{url}: two columns are called {name!r} (dataset.{option}); rename one")
    key = dataset.key or next((name for name in _KEY_NAMES if schema.names.count(name) == 1), None)
    if dataset.images is None:
        certain, otherwise = _image_columns(schema, url, first)
    else:
        certain, otherwise = tuple(_chosen_column(schema, name, url) for name in dataset.images), None
    may_hold = (n for n, field in enumerate(schema) if holds_bytes(field.type) or holds_texts(field.type))
    possible = tuple(n for n in may_hold if n not in certain)
    texts = frozenset(n for n in possible if not holds_bytes(schema.field(n).type))
    in_full = dataset.row_names == "full"
    return Layout(
        certain,
        possible,
        otherwise,
        dataset.images is not None,
        None if key is None else schema.get_field_index(key),
        texts,
        before_numbers=f"{shard}/" if in_full else "",
        classes=features_of(schema) if in_full else {},
    )


def _image_columns(schema: pa.Schema, url: str, first: pa.RecordBatch | None) -> tuple[tuple[int, ...], int | None]:
    """`certain` and `otherwise` of a layout, where nobody has named the columns."""
    typed = [n for n, field in enumerate(schema) if holds_images(field.type)]
    binary = [n for n, field in enumerate(schema) if is_binary(plain_type(field.type))]
    bytes_within = [n for n, field in enumerate(schema) if holds_bytes(field.type)]
    nulls = [n for n, field in enumerate(schema) if pa.types.is_null(field.type)]
    if typed:
        return tuple(typed), None
    if len(binary) > 1:
        named = tuple(n for n in binary if schema.names[n].lower() in IMAGE_NAMES)
        return named, None if named else binary[0]
    found = binary or bytes_within
    if found:
        return (found[0],), None
    return _text_columns(schema, url, first, nulls), None


def _text_columns(schema: pa.Schema, url: str, first: pa.RecordBatch | None, nulls: Sequence[int]) -> tuple[int, ...]:
    """Those whose texts are pictures, by the first rows; or else a column of nulls that is called as one of pictures.

    Raises:
        InputError: there is none.
    """
    holding = [n for n, field in enumerate(schema) if holds_texts(field.type)]
    once = [n for n in holding if schema.names.count(schema.names[n]) == 1]
    values = {schema.names[n]: [] if first is None else list(_texts(first.column(n)))[:_LOOKED_AT] for n in once}
    if chosen := choose(values):
        return tuple(schema.get_field_index(name) for name in chosen)
    usual = [n for n in nulls if schema.names[n].lower() in IMAGE_NAMES]
    by_name = [n for n in once if schema.names[n].lower() in TEXT_NAMES and not values[schema.names[n]]]
    if usual or nulls or by_name:
        return ((usual or nulls or by_name)[0],)
    if first is None and once:
        return ()
    reason = why_none(values) or "is this metadata beside the images?"
    raise InputError(f"{url}: no image column among {', '.join(schema.names)}; {reason}")


def _texts(column: pa.Array) -> Iterator[str]:
    """The texts anywhere in a column."""
    for array in text_arrays(column):
        yield from (text for text in array.to_pylist() if text)


def _chosen_column(schema: pa.Schema, name: str, url: str) -> int:
    kind = schema.field(name).type
    if not (holds_bytes(kind) or holds_texts(kind) or pa.types.is_null(kind)):
        raise InputError(f"{url}: column {name!r} (dataset.image) holds neither bytes nor texts, so no images")
    return int(schema.get_field_index(name))
