"""Rows of Arrow tables: what is asked of many at once is what each would say by itself, whatever its types."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings

from curate.core.errors import InputError
from curate.core.types import Sample, ShardRef
from curate.sources import rows
from curate.sources.arrow_types import plain_column
from curate.sources.row_columns import RowColumns, columns
from curate.sources.row_layout import layout
from curate.sources.row_pictures import Found, RowPictures, pictures_in
from curate.sources.text_images import image_of, is_encoded
from tests.support import arrow_tables
from tests.support.arrow_tables import ENCODED, PICTURES, batches, leaves
from tests.support.source_cases import dataset, picture

SHARD = ShardRef(id="s", url="s.arrow", format="arrow")
ROWS = settings(max_examples=50)


def read(found: list[pa.RecordBatch], **chosen: object) -> list[Sample]:
    """The samples of batches; none where there is no column of pictures."""
    try:
        return list(rows.samples(found, found[0].schema, dataset("s.arrow", **chosen), SHARD))
    except InputError:
        return []


@ROWS
@given(batches())
def test_rows_of_a_batch_are_those_that_come_one_by_one(batch: pa.RecordBatch) -> None:
    single = [batch.slice(row, 1) for row in range(batch.num_rows)]
    for name in batch.schema.names:
        assert read([batch], image=name) == read(single, image=name)


@ROWS
@given(arrow_tables.columns())
def test_columns_hold_the_pictures_that_their_values_hold(column: pa.Array) -> None:
    batch = pa.record_batch({"a": column, "n": pa.array(range(len(column)))})
    for chosen in ("a", "n", None):
        try:
            found = layout(batch.schema, dataset("x", **({"image": chosen} if chosen else {})), "x", first=batch)
        except InputError:
            continue
        certain = 0 in found.certain
        pictures = RowPictures(batch, found)
        for row in range(len(column)):
            wanted = list(pictures_in(plain_column(column)[row], "a", certain=certain))
            assert [Found(p.part, p.value, p.path, p.is_text) for p in pictures.of(row)] == wanted


@ROWS
@given(batches())
def test_no_picture_of_a_row_is_neither_judged_nor_told(batch: pa.RecordBatch) -> None:
    found = read([batch])
    values = [
        [value for name in batch.schema.names for value in leaves(_plainly(batch.column(name), row))]
        for row in range(batch.num_rows)
    ]
    for row, inside in enumerate(values if found else []):
        judged = [sample.image for sample in found if sample.index == row]
        texts = [value.encode() for value in inside if isinstance(value, str)]
        pictures = [value for value in inside if value in PICTURES]
        pictures += [image_of(text, None).image for text in texts if is_encoded(text)]
        assert set(pictures) <= set(judged)


def _plainly(column: pa.Array, row: int) -> object:
    """A value in Python; of a date beyond Python's nothing, since it is no picture."""
    try:
        return column[row].as_py()
    except (ValueError, OverflowError):
        return None


@ROWS
@given(batches())
def test_sidecars_are_streams_as_arrow_writes_them(batch: pa.RecordBatch) -> None:
    beside = RowColumns(batch, {})
    for row in range(batch.num_rows):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch.slice(row, 1))
        assert beside.sidecar(row) == sink.getvalue().to_pybytes()
        assert columns(beside.sidecar(row)).num_rows == 1


@ROWS
@given(batches())
def test_what_a_person_reads_of_a_row_does_not_depend_on_its_neighbours(batch: pa.RecordBatch) -> None:
    together = RowColumns(batch, {})
    for row in range(batch.num_rows):
        assert together.meta(row) == RowColumns(batch.slice(row, 1), {}).meta(0)


def test_a_row_that_python_cannot_say_costs_no_other_row_its_values() -> None:
    beside = RowColumns(pa.record_batch({"n": [1, 2], "when": pa.array([0, 2**50], pa.timestamp("s"))}), {})
    assert beside.meta(0) == {"n": 1, "when": "1970-01-01T00:00:00"}
    assert set(beside.meta(1)) == {"columns_error"}


def test_batches_of_large_columns_are_read_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    large = pa.record_batch({"a": [bytes(2**19)] * 3})
    beside = RowColumns(large, {})
    assert beside._read is None
    assert [beside.meta(row) for row in range(3)] == [{"a": "<524288 bytes>"}] * 3


def test_a_key_that_python_cannot_say_costs_no_row() -> None:
    keys = pa.array([0, 2**50], pa.timestamp("s"))
    found = read([pa.record_batch({"image": [picture(1), picture(2)], "key": keys})])
    assert [sample.key for sample in found] == ["1970-01-01 00:00:00", "000000001"]


@pytest.mark.parametrize("chosen", [None, "image"])
def test_maps_beside_the_image_are_meta_like_others(chosen) -> None:
    tags = pa.array([[("source", "web")], None], pa.map_(pa.string(), pa.string()))
    found = read([pa.record_batch({"image": [picture(1), picture(2)], "tags": tags})], image=chosen)
    assert [sample.image for sample in found] == [picture(1), picture(2)]
    assert [sample.meta for sample in found] == [{"tags": [["source", "web"]]}, {"tags": None}]


def test_pictures_in_base64_are_told_by_their_length_in_maps_too() -> None:
    tags = pa.array([[("thumb", ENCODED[0])]], pa.map_(pa.string(), pa.string()))
    batch = pa.record_batch({"image": [picture(1)], "tags": tags})
    assert read([batch])[0].meta == {"tags": [["thumb", f"<{len(ENCODED[0])} characters>"]]}


@pytest.mark.parametrize("kind", [pa.dictionary(pa.int8(), pa.binary()), pa.binary()])
def test_pictures_of_dictionaries_in_lists_are_pictures(kind) -> None:
    batch = pa.record_batch({"images": pa.array([[PICTURES[0], PICTURES[1]]], pa.list_(kind))})
    assert [(s.part, s.image) for s in read([batch])] == [("images[0]", PICTURES[0]), ("images[1]", PICTURES[1])]
