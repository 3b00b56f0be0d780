"""Small judged runs for the tests of the filter stage: real shards, real annotation files and commits, no engine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curate.core.types import Annotation, Rating, Sample, ShardRef, Status
from curate.filtering.result import FilterResult
from curate.pipeline.filtering import run_filter
from curate.policies.policy import Category, Policy
from curate.runs.annotation_table import to_table
from curate.runs.commits import Commit, annotation_name, commit_name
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings
from curate.settings.model import ModelSettings
from curate.sources.base import ShardBroken
from curate.sources.registry import SOURCES
from curate.storage.local_store import LocalStore
from curate.storage.store import Store

DEFAULT_RULES = {"unsafe": "unsafe", "review": "review", "clean": "NOT unsafe"}
MODEL = ModelSettings(name="a-model", path="builtin")

Judge = Callable[[Sample, str], Mapping[str, object]]


def policy(name: str, codes: Iterable[str] = ("O1", "O2", "O3")) -> Policy:
    return Policy(name=name, categories={code: Category(name=f"Category {code}", should_not=("x",)) for code in codes})


def picture(number: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8 + number % 5, 8), (number * 7 % 256, number * 13 % 256, number % 256)).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def laion_members(first: int, count: int) -> list[tuple[str, bytes]]:
    """Samples as img2dataset lays them out; the JSON first in every third, no image in every seventh."""
    members: list[tuple[str, bytes]] = []
    for number in range(first, first + count):
        key = f"{number:09d}"
        fields = {"caption": f"caption {number}", "punsafe": number % 10 / 10, "label": f"class {number % 3}"}
        sample = [(f"{key}.json", json.dumps(fields).encode()), (f"{key}.txt", f"caption {number}".encode())]
        if number % 7 != 6:
            sample.insert(number % 3, (f"{key}.jpg", b"no image" if number % 7 == 5 else picture(number)))
        members += sample
    return members


def write_parquet(path: Path, keys: Iterable[str | None]) -> Path:
    keys = list(keys)
    images = [None if n % 5 == 4 else {"bytes": picture(n, "PNG"), "path": f"dir/{n}.png"} for n in range(len(keys))]
    table = pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "score": pa.array([n / 10 for n in range(len(keys))]),
            "label": pa.array([f"class {n % 2}" for n in range(len(keys))]),
        }
    )
    pq.write_table(table, path, row_group_size=3)
    return path


def by_number(sample: Sample, policy_name: str) -> Mapping[str, object]:
    """Every third unsafe, every fifth an engine failure; p_unsafe from 0 to 0.9."""
    if sample.image is None:
        return {"status": Status.MISSING_IMAGE}
    if not sample.image.startswith((b"\xff\xd8", b"\x89PNG")):
        return {"status": Status.UNDECODABLE}
    if sample.index % 5 == 4:
        return {"status": Status.ENGINE_FAILURE}
    unsafe = sample.index % 3 == 0
    rating, category = (Rating.UNSAFE, f"O{1 + sample.index % 2}") if unsafe else (Rating.SAFE, "NA")
    return {"rating": rating, "category": category, "category_name": category, "p_unsafe": sample.index % 10 / 10}


@dataclass(frozen=True)
class Case:
    """A run's folder in which everything is judged."""

    store: Store
    shards: tuple[ShardRef, ...]
    dataset: DatasetSettings
    policies: Mapping[str, Policy]
    rows: Mapping[str, list[Annotation]]
    root: Path
    sources: Mapping[str, object] = field(default_factory=lambda: SOURCES)

    def filter(self, **settings: object) -> FilterResult:
        chosen = FilterSettings(**({"splits": DEFAULT_RULES} | settings))
        return run_filter(self.store, chosen, self.dataset, self.shards, self.policies, self.sources, model=MODEL)

    def through(self, store: Store) -> Case:
        return replace(self, store=store)

    def files(self) -> dict[str, bytes]:
        """Everything the filter stage wrote, by name."""
        found = [*(self.root / "splits").rglob("*"), *(self.root / "tables").rglob("*"), self.root / "README.md"]
        return {p.relative_to(self.root).as_posix(): p.read_bytes() for p in found if p.is_file()}

    def lay_out_as_before(self) -> None:
        """Put the tables where earlier versions wrote them, between the splits."""
        for path in list((self.root / "tables").iterdir()):
            path.rename(self.root / "splits" / path.name)
        (self.root / "tables").rmdir()


def judged(
    root: Path,
    paths: Iterable[Path],
    judge: Judge = by_number,
    policies: Iterable[str] = ("house",),
    **dataset: object,
) -> Case:
    """Read `paths` through the sources and write what `judge` says of every sample."""
    paths = [str(path) for path in paths]
    described = DatasetSettings(**({"name": "small", "shards": paths, "caption": "caption"} | dataset))
    store = LocalStore(root)
    shards = [ref for path in paths for ref in _source(path).shards([path], described)]
    rows = {name: [] for name in policies}
    for name in policies:
        for shard in shards:
            read = SOURCES[shard.format].samples(shard, described)
            rows[name] += (written := [_row(sample, shard, name, judge) for sample in _readable(read)])
            commit(store, name, shard, written)
    return Case(store, tuple(shards), described, {n: policy(n) for n in policies}, rows, root)


def commit(store: LocalStore, name: str, shard: ShardRef, rows: list[Annotation]) -> None:
    """An annotation file and its commit, in place of any that were there."""
    scratch = store.scratch()
    pq.write_table(to_table(rows), scratch)
    digest = hashlib.sha256(scratch.read_bytes()).hexdigest()
    store.delete(annotation_name(name, shard.id))
    store.publish(scratch, annotation_name(name, shard.id))
    record = Commit(
        shard=shard.id,
        policy=name,
        fingerprint="f" * 8,
        plan_hash="p" * 8,
        rows=len(rows),
        statuses={},
        ratings={},
        categories={},
        sha256=digest,
        file_bytes=1,
        version=None,
    )
    store.replace(commit_name(name, shard.id), record.to_json())


def _readable(samples: Iterator[Sample]) -> Iterator[Sample]:
    """The samples before a shard breaks off."""
    try:
        yield from samples
    except ShardBroken:
        return


def _source(path: str):
    return SOURCES["parquet" if path.endswith(".parquet") else "webdataset"]


def _row(sample: Sample, shard: ShardRef, name: str, judge: Judge) -> Annotation:
    row = Annotation(
        key=sample.key,
        shard=shard.id,
        index=sample.index,
        policy=name,
        status=Status.LABELLED,
        sha256=sample.sha256 or (hashlib.sha256(sample.image).hexdigest() if sample.image is not None else None),
        width=64,
        height=64,
        meta=json.dumps(dict(sample.meta), ensure_ascii=False),
    )
    return replace(row, **judge(sample, name))
