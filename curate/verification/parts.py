"""Law 1 and 8 over compacted rows: each part is the one that its index speaks of, and what is superfluous is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from curate.runs.commits import Commit, annotation_name
from curate.runs.compaction.index import Index, Part, Span, is_of, parts_folder
from curate.verification.evidence import Checked, Evidence, Finding, Law, Note
from curate.verification.folder import Folder, read_commit_of


def check_parts(folder: Folder) -> Iterator[Evidence]:
    """Parts, indexes and small files beside them; nothing in a run that was never compacted."""
    for policy, indexes in folder.indexes.items():
        for index in indexes:
            for part, spans in index.by_part():
                yield Checked(Law.ONE_FATE, "parts")
                yield from _check_part(folder, part, spans)
        yield from _superfluous(folder, policy, indexes)


def _check_part(folder: Folder, part: Part, spans: Sequence[Span]) -> Iterator[Evidence]:
    try:
        with folder.store.open(part.name) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            file.seek(0)
            rows = pq.read_metadata(file).num_rows
    except FileNotFoundError:
        yield Finding(Law.ONE_FATE, part.name, "is not there, but its index is")
        return
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Finding(Law.ONE_FATE, part.name, f"cannot be read ({' '.join(str(error).split())[:100]})")
        return
    if (digest, size) != (part.sha256, part.bytes):
        yield Finding(Law.ONE_FATE, part.name, f"is not the file of its index: {size} bytes, sha256 {digest[:12]}...")
    if not _is_cut(spans, rows):
        yield Finding(Law.ONE_FATE, part.name, f"has {rows} rows, which its index does not cut without gap or overlap")


def _is_cut(spans: Sequence[Span], rows: int) -> bool:
    end = 0
    for span in spans:
        if span.first != end:
            return False
        end += span.rows
    return end == rows


def _superfluous(folder: Folder, policy: str, indexes: Sequence[Index]) -> Iterator[Evidence]:
    """What a compaction that was killed left; the next one deletes it."""
    for index in indexes[1:]:
        yield Note("indexes of parts beside another one; `compact` deletes what is superfluous", index.name)
    known = {part.name for index in indexes for part in index.parts}
    for name in folder.store.names(parts_folder(policy)):
        if f"{parts_folder(policy)}/{name}" not in known:
            yield Note("parts of no index do not count", f"{parts_folder(policy)}/{name}")
    there = set(folder.store.names(f"annotations/{policy}"))
    for span in (span for index in indexes for span in index.spans if f"{span.shard}.parquet" in there):
        is_committed = span.shard in folder.committed[policy]
        commit = read_commit_of(folder, policy, span.shard, keep=True) if is_committed else None
        if isinstance(commit, Commit) and is_of(span, commit):
            name = annotation_name(policy, span.shard)
            yield Note("annotation files whose rows stand in a part too; `compact` deletes them", name)
