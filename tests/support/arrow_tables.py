"""Arrow tables of any types with pictures anywhere in them, for Hypothesis."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from tests.support.source_cases import picture

PICTURES = tuple(picture(n, kind, 4) for n, kind in enumerate(("JPEG", "PNG", "GIF", "WEBP", "BMP")))
ENCODED = tuple(base64.b64encode(data).decode() for data in PICTURES)

_BYTES = st.sampled_from([*PICTURES, b"", b"no picture", b"\0" * 40, b"\x00\x00\x00\x1cftypmif1" + b"\0" * 80, None])
_TEXTS = st.sampled_from(
    [*ENCODED, f"data:image/png;base64,{ENCODED[1]}", "data:text/plain,x", "", "x.jpg", "é" * 200, "a" * 60, None]
)
_PLAIN: tuple[tuple[pa.DataType, st.SearchStrategy], ...] = (
    *((kind, _BYTES) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
    *((kind, _TEXTS) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *((pa.dictionary(pa.int8(), kind), _BYTES) for kind in (pa.binary(), pa.large_binary())),
    (pa.dictionary(pa.int16(), pa.string()), _TEXTS),
    (pa.int64(), st.none() | st.integers(-(2**63), 2**63 - 1)),
    (pa.timestamp("s"), st.none() | st.integers(-(2**50), 2**50)),  # beyond what Python's dates can say
    (pa.float32(), st.none() | st.floats(width=32)),
    (pa.bool_(), st.none() | st.booleans()),
    (pa.null(), st.none()),
)
_NAMES = st.sampled_from(["x.jpg", "a/é.png", "", None])  # of images: what they are called is no picture of its own
_FIELDS = st.sampled_from(["bytes", "caption", "file_name"])
_Kind = tuple[pa.DataType, st.SearchStrategy]


def _listed(kind: _Kind) -> st.SearchStrategy[_Kind]:
    inner, values = kind
    types = [pa.list_(inner), pa.large_list(inner), pa.list_view(inner)]
    return st.sampled_from(types).map(lambda made: (made, st.none() | st.lists(values, max_size=3)))


def _mapped(kind: _Kind) -> _Kind:
    inner, values = kind
    return pa.map_(pa.string(), inner), st.none() | st.lists(st.tuples(_TEXTS.filter(bool), values), max_size=2)


def _structured(fields: dict[str, _Kind]) -> _Kind:
    made = pa.struct([(name, kind) for name, (kind, _) in fields.items()])
    return made, st.none() | st.fixed_dictionaries({name: values for name, (_, values) in fields.items()})


_IMAGE = st.tuples(st.sampled_from([pa.binary(), pa.large_binary()]), st.booleans()).map(
    lambda drawn: _structured(
        {"bytes": (drawn[0], _BYTES), "path": (pa.string(), _NAMES)}
        | ({"alt": (pa.string(), _TEXTS)} if drawn[1] else {})
    )
)
_KINDS = st.recursive(
    st.sampled_from(_PLAIN) | _IMAGE,
    lambda inner: (
        inner.flatmap(_listed)
        | inner.map(_mapped)
        | st.dictionaries(_FIELDS, inner, min_size=1, max_size=3).map(_structured)
    ),
    max_leaves=4,
)


@st.composite
def columns(draw: Callable) -> pa.Array:
    """A column of some rows of any type, at times one of runs, at times cut out of a longer one."""
    kind, values = draw(_KINDS)
    drawn = draw(st.lists(values, min_size=1, max_size=5))
    column = pa.array(drawn, kind)
    if draw(st.booleans()) and not pa.types.is_nested(kind) and kind in (pa.binary(), pa.string(), pa.int64()):
        column = pc.run_end_encode(column)
    start = draw(st.integers(0, len(drawn) - 1))
    return column.slice(start)


@st.composite
def batches(draw: Callable) -> pa.RecordBatch:
    """Rows of one to three columns, and one of numbers."""
    found = draw(st.lists(columns(), min_size=1, max_size=3))
    rows = min(map(len, found))
    names = draw(
        st.lists(st.sampled_from(["image", "jpg", "a", "b", "key", "path"]), min_size=3, max_size=3, unique=True)
    )
    named = {name: column.slice(0, rows) for name, column in zip(names, found, strict=False)}
    return pa.record_batch({**named, "n": pa.array(range(rows))})


def leaves(value: object) -> Iterator[object]:
    """Everything in a value that holds nothing else, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value
