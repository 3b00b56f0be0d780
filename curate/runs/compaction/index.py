"""Which rows of which part are those of which annotation file.

An index is written once under a name of its own and never changed. Several may be there for a moment, while one takes
the place of another; each is true, so readers take them together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from curate.runs.commits import Commit
from curate.storage.store import Store

_SPANS = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("first", pa.int64(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)
_PARTS = b"curate.parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The rows of one annotation file in a part: `rows` of them from row `first`.

    Attributes:
        sha256, bytes: of the file that they were read from, as its commit has it.
        metadata: its Parquet key-value metadata, as JSON.
    """

    shard: str
    part: str
    first: int
    rows: int
    sha256: str
    bytes: int
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file of `annotations/<policy>/parts/`, with its size and digest."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Parts in the order of their rows, and the spans in them.

    Attributes:
        name: its file in the run's folder; it carries a digest of the content.
    """

    name: str
    parts: tuple[Part, ...]
    spans: tuple[Span, ...]

    def by_part(self) -> Iterator[tuple[Part, list[Span]]]:
        """Each part with its spans, in order."""
        found: dict[str, list[Span]] = {part.name: [] for part in self.parts}
        for span in self.spans:
            found[span.part].append(span)
        return ((part, found[part.name]) for part in self.parts)


def parts_folder(policy: str) -> str:
    """Where the parts of a policy stand."""
    return f"annotations/{policy}/parts"


def index_folder(policy: str) -> str:
    """Where the indexes of a policy stand: beside its commits, since they say what counts."""
    return f"commits/{policy}/parts"


def publish_index(store: Store, policy: str, parts: Sequence[Part], spans: Iterable[Span]) -> Index:
    """Make parts count; an equal index that is there already stands."""
    spans = tuple(spans)
    metadata = {_PARTS: json.dumps([asdict(part) for part in parts])}
    table = pa.Table.from_pylist([asdict(span) for span in spans], schema=_SPANS.with_metadata(metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = bytes(sink.getvalue())
    name = f"{index_folder(policy)}/{hashlib.sha256(data).hexdigest()[:16]}.parquet"
    store.create(name, data)
    return Index(name=name, parts=tuple(parts), spans=spans)


def read_indexes(store: Store, policy: str) -> list[Index]:
    """Every index that counts; none for a run that was never compacted."""
    folder = index_folder(policy)
    try:
        return [_parse(f"{folder}/{name}", store.read(f"{folder}/{name}")) for name in store.names(folder)]
    except FileNotFoundError:
        # Another took its place, which may not have been there when the names were listed.
        return read_indexes(store, policy)


def is_of(span: Span, commit: Commit) -> bool:
    """Whether these are the rows that a commit speaks of, and not those of an earlier judging."""
    return (span.shard, span.sha256) == (commit.shard, commit.sha256)


def _parse(name: str, data: bytes) -> Index:
    table = pq.read_table(pa.BufferReader(data))
    parts = json.loads(table.schema.metadata[_PARTS])
    return Index(
        name=name, parts=tuple(Part(**part) for part in parts), spans=tuple(Span(**row) for row in table.to_pylist())
    )
