"""Tars and Parquet files from a seed: odd but whole, and damaged in their headers, indexes, pages and content."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import random
import tarfile
from decimal import Decimal
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests.support.mutated_images import damaged
from tests.support.source_cases import picture, table_of, tar_bytes

NAMES = (
    "a.jpg", "b.jpg", "b.jpg", "b.json", "c/d.jpg", "c/d.txt", "../e.jpg", "/f.jpg", "g\udcff\udce9.jpg", "h\0i.jpg",
    "a.txt", "noextension", "k.JPG", "l.seg.jpg", "ü" * 60 + ".jpg", "m" * 300 + ".jpg", "./n.jpg", ".jpg", "o..jpg",
)  # fmt: skip
SIDECARS = (
    b"", b"{", b"[1, 2]", b"\xff\xfe", b'{"a": NaN, "b": "\\ud800"}', b"[" * 100_000, b"x" * 10_000, b"\0" * 50,
    json.dumps({"caption": "c" * 10_000, "url": None}).encode(),
)  # fmt: skip
ROWS = 12


def tar(seed: int) -> bytes:
    """A tar of up to eight members, half of them damaged; many with header checksums that agree with the damage."""
    chance = random.Random(seed)
    kind = chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    members = [(name, _body(chance, name)) for name in chance.choices(NAMES, k=chance.randint(0, 8))]
    data = bytearray(tar_bytes(members, kind))
    if chance.random() < 0.5:
        data = bytearray(damaged(chance, bytes(data)))
        for start in range(0, len(data) - 512, 512) if chance.random() < 0.5 else ():
            mend_checksum(data, start)
    packed = chance.choice((bytes, bytes, gzip.compress, zstandard.compress))(bytes(data))
    packed = damaged(chance, packed) if chance.random() < 0.2 else packed
    packed += chance.randbytes(700) if chance.random() < 0.1 else b""
    return packed[: chance.randrange(len(packed))] if chance.random() < 0.2 else packed


def mend_checksum(data: bytearray, start: int) -> None:
    """Make a mutated header pass, so that what it says is believed."""
    block = data[start : start + 512]
    if block[257:262] == b"ustar":
        data[start + 148 : start + 156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))


def _body(chance: random.Random, name: str) -> bytes:
    return picture(chance.randrange(20), size=8) if name.lower().endswith("jpg") else chance.choice(SIDECARS)


def parquet(seed: int) -> bytes:
    """A Parquet file, nine of ten of them damaged: in the footer or anywhere, or cut, or with garbage behind it."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(_parquet_files()))
    if chance.random() < 0.1:
        return bytes(data)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    for _ in range(chance.randint(1, 6)):
        place = len(data) - chance.randint(1, footer) if chance.random() < 0.5 else chance.randrange(len(data))
        _damage(chance, data, place)
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]
    return bytes(data) + (chance.randbytes(50) if chance.random() < 0.05 else b"")


def _damage(chance: random.Random, data: bytearray, place: int) -> None:
    match chance.randrange(4):
        case 0:
            data[place : place + 1] = chance.choice((b"\0", b"\x01", b"\x7f", b"\x80", b"\xff"))
        case 1:
            data[place : place + 1] = bytes([data[place] ^ 1 << chance.randrange(8)]) if place < len(data) else b""
        case 2:
            data[place : place + chance.randint(0, 8)] = chance.randbytes(chance.randint(0, 8))
        case _:
            source = chance.randrange(len(data))
            data[place : place + 8] = data[source : source + 8]


@cache
def _parquet_files() -> tuple[bytes, ...]:
    """Every table under every codec and page layout."""
    layouts = ({}, {"use_dictionary": False}, {"data_page_version": "2.0"}, {"write_page_checksum": True},
               {"write_page_index": True, "data_page_size": 200})  # fmt: skip
    return tuple(
        _written(table, compression=codec, **layout)
        for table in _tables()
        for codec in ("none", "snappy", "zstd", "gzip", "lz4", "brotli")
        for layout in layouts
    )


def _written(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=5, **options)
    return out.getvalue()


def _tables() -> tuple[pa.Table, ...]:
    """Images as `datasets` stores them, beside columns of every kind, and images in the odd ways that are read too."""
    plain = table_of(ROWS)
    nested = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    nulls = [None, {"bytes": None, "path": None}, {"bytes": None, "path": "x.jpg"}, {"bytes": b"", "path": ""}] * 3
    without_path = pa.array([{"bytes": picture(i)} for i in range(ROWS)], pa.struct({"bytes": pa.large_binary()}))
    repeated = pa.array([picture(i % 2) for i in range(ROWS)], pa.large_binary())
    return (
        plain,
        _beside(plain),
        plain.set_column(0, "image", pa.array(nulls, nested)),
        plain.set_column(0, "image", without_path),
        plain.set_column(0, "image", repeated),
        plain.slice(0, 0),
        plain.drop_columns("image"),
        pa.table({"image": [f"text {i}" for i in range(ROWS)], "n": range(ROWS)}),
        pa.table({"a": repeated, "b": repeated}),
        pa.table({"image": pa.array([[picture(i)] for i in range(ROWS)])}),
        pa.table({"image": pa.array([{"bytes": picture(i), "path": 1, "more": 2.0} for i in range(ROWS)])}),
    )


def _beside(table: pa.Table) -> pa.Table:
    count = range(ROWS)
    columns = {
        "list": pa.array([[i, None, i * 2] for i in count], pa.list_(pa.int32())),
        "map": pa.array([[("a", i)] for i in count], pa.map_(pa.string(), pa.int64())),
        "dictionary": pa.array([f"c{i % 3}" for i in count]).dictionary_encode(),
        "decimal": pa.array([Decimal(i) for i in count], pa.decimal128(20, 3)),
        "large": pa.array([f"x{i}" * 3000 for i in count], pa.large_string()),
        "time": pa.array([datetime.datetime(2020, 1, 1)] * ROWS, pa.timestamp("ns")),
        "fixed": pa.array([b"abcd"] * ROWS, pa.binary(4)),
        "deep": pa.array([{"a": [{"b": str(i)}]} for i in count]),
        "nothing": pa.nulls(ROWS),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table
