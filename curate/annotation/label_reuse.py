"""Labels from earlier runs (`reuse=DIR`): a picture that was judged under the same fingerprint is not judged again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from curate.annotation.digest_index import DigestIndex
from curate.annotation.duplicates import Label
from curate.annotation.judge_sample import of_first_frame_only
from curate.core.errors import InputError
from curate.core.secrets import masked_url
from curate.core.types import Annotation, Status
from curate.engines.dtype import AUTO, dtype_of_auto
from curate.runs.annotation_table import from_table
from curate.runs.commits import Commit, read_commits
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.fingerprint import CHOICES, Fingerprint, later_parts
from curate.runs.run_folder import Run, load_run
from curate.settings.run import Settings
from curate.storage.factory import open_store

_GROUPS = 8
"""Row groups that are held, of 10,000 rows each: runs over the same pictures in the same order read each once."""


@dataclass(frozen=True, slots=True)
class _File:
    """One committed shard of the run in `place`, as the user named it."""

    place: str
    files: AnnotationFiles
    commit: Commit


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group of a file; `first` is the index of its first row."""

    file: _File
    first: int
    rows: pa.Table

    def holds(self, file: _File, index: int) -> bool:
        return self.file is file and self.first <= index < self.first + self.rows.num_rows


class LabelReuse:
    """Looks rows up in earlier runs. Reads all their digests when it is made; to be closed.

    Args:
        places: folders or URLs of runs; the first that has a picture decides.
        fingerprints: of this run, by policy.
    """

    def __init__(self, places: Sequence[str], fingerprints: Mapping[str, Fingerprint]) -> None:
        runs = [(place, _earlier(place)) for place in places]
        self._files = {policy: list(_files(runs, policy, f)) for policy, f in fingerprints.items()}
        self._indexes = {policy: DigestIndex(_blocks(files)) for policy, files in self._files.items() if files}
        self._groups: deque[_Group] = deque(maxlen=_GROUPS)
        self._lock = Lock()

    def close(self) -> None:
        """Delete the index. Idempotent."""
        for index in self._indexes.values():
            index.close()

    def find(self, policy: str, sha256: str | None) -> Label | None:
        """The labelled row of a picture under `policy`, and where it stands; may read files."""
        index = self._indexes.get(policy)
        if index is None or sha256 is None:
            return None
        for place in index.find(bytes.fromhex(sha256)):
            file = self._files[policy][place >> 32]
            row = self._row(file, place & 0xFFFFFFFF)
            if row.sha256 == sha256 and not of_first_frame_only(row):
                return Label(row, f"{masked_url(file.place)}#{row.shard}/{row.index}")
        return None

    def _row(self, file: _File, index: int) -> Annotation:
        """Row `index` of a file; several threads may ask."""
        with self._lock:
            group = next((g for g in self._groups if g.holds(file, index)), None)
            if group is None:
                group = _read_group(file, index)
                self._groups.append(group)
        return next(from_table(group.rows.slice(index - group.first, 1)))


def _read_group(file: _File, index: int) -> _Group:
    with file.files.local(file.commit) as path, pq.ParquetFile(path) as opened:
        number, first = 0, 0
        while index >= first + (rows := opened.metadata.row_group(number).num_rows):
            number, first = number + 1, first + rows
        return _Group(file, first, opened.read_row_group(number))


def check_reuse(settings: Settings, fingerprints: Mapping[str, Fingerprint]) -> None:
    """Refuse what cannot help before anything is started.

    Raises:
        InputError: a place of `reuse` holds no run, is this run itself, or has judged under no fingerprint of this run.
    """
    if settings.reuse and settings.dataset.policy_column is not None:
        raise InputError("reuse: a picture says nothing of the policy its row brings; leave out dataset.policy_column")
    for place in settings.reuse:
        if open_store(place).uri("") == open_store(settings.output.dir).uri(""):
            raise InputError(f"reuse={place}: is this run itself, which goes on without it; leave it out")
        run = _earlier(place)
        theirs = run.fingerprints
        if not any(_gives(f, t, run) for f in fingerprints.values() for t in theirs.values()):
            raise InputError(
                f"reuse={place}: {_difference(fingerprints, theirs)}; {_mend(settings, fingerprints, theirs)}"
            )


def _mend(settings: Settings, own: Mapping[str, Fingerprint], theirs: Mapping[str, Fingerprint]) -> str:
    """What to do about a difference: where only the number format is another, there is a setting for it."""
    for policy, fingerprint in own.items():
        if policy in theirs and fingerprint.differs_in(theirs[policy].parts) == ["model.dtype"]:
            before = theirs[policy].parts["model.dtype"]
            dtype = dtype_of_auto(settings.model, settings.engine) if before == AUTO else before
            return f"leave it out, or judge as it did with model.dtype={dtype}"
    return "leave it out, or undo the change"


def _gives(own: Fingerprint, theirs: Fingerprint, run: Run) -> bool:
    """Whether labels under `theirs` are what `own` gives: which pictures were chosen changes none."""
    told = later_parts(run.settings.engine, run.settings.dataset)
    return own.is_same(theirs.parts, told, ignoring=CHOICES)


def _earlier(place: str) -> Run:
    try:
        return load_run(place)
    except InputError as error:
        raise InputError(str(error).replace("output.dir=", "reuse=", 1)) from error


def _difference(own: Mapping[str, Fingerprint], theirs: Mapping[str, Fingerprint]) -> str:
    shared = [(own[policy], theirs[policy]) for policy in own if policy in theirs]
    if not shared:
        return f"has judged under {', '.join(theirs)}, not under {', '.join(own)}"
    now, before = shared[0]
    return f"has judged otherwise: {'; '.join(now.difference(before.parts))}"


def _files(runs: Iterable[tuple[str, Run]], policy: str, fingerprint: Fingerprint) -> Iterator[_File]:
    """Committed files under `fingerprint`, which names the policy; in an order that nothing but the runs decides."""
    for place, run in runs:
        theirs = run.fingerprints.get(policy)
        if theirs is not None and _gives(fingerprint, theirs, run):
            store = open_store(place)
            opened = AnnotationFiles(store)
            yield from (_File(place, opened, commit) for commit in read_commits(store, policy))


def _blocks(files: Sequence[_File]) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]]:
    """Digests and places of the labelled rows, file by file; a place is the file's number and the row's in it."""
    for number, file in enumerate(files):
        with file.files.local(file.commit) as path:
            rows = pl.read_parquet(path, columns=["sha256", "status"], glob=False).with_row_index("place")
        rows = rows.filter(pl.col("status") == Status.LABELLED.value, pl.col("sha256").is_not_null())
        digests = rows["sha256"].str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64)
        yield digests.to_numpy(), rows["place"].cast(pl.UInt64).to_numpy() | np.uint64(number << 32)
