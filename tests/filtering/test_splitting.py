"""The filter stage over real shards: laws 2, 3 and 6, held against what independent readers find in the sources."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from curate.core.errors import InputError, ShardUnreadable
from curate.core.types import Rating, Status
from curate.filtering import write_parquet as parquet_format
from curate.filtering.estimate import split_disk_estimate
from curate.settings.filter import FilterSettings
from tests.support.filtering_cases import (
    DEFAULT_RULES,
    Case,
    by_number,
    judged,
    laion_members,
    picture,
    write_parquet,
    write_tar,
)

KEYS = ["plain", "with.dot", "a/b", "a/b", "", "über", "tilde~", "x y", "plain", None, "z", "z"]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    tar = write_tar(tmp_path / "a.tar", laion_members(0, 30))
    parquet = write_parquet(tmp_path / "b.parquet", KEYS)
    return judged(tmp_path / "run", [tar, parquet], label="label")


def split_rows(case: Case) -> list[dict]:
    """All rows of all Parquet splits, with the folder they were in."""
    files = sorted((case.root / "splits").glob("*/**/*.parquet"))
    return [
        {"folder": file.parent.relative_to(case.root / "splits").as_posix(), **row}
        for file in files
        for row in pq.read_table(file).to_pylist()
    ]


def tar_samples(path: Path) -> list[dict]:
    return list(webdataset.WebDataset(str(path), shardshuffle=False))


def source_samples(case: Case) -> dict[tuple[str, int], dict]:
    """(shard, index) -> image and sidecar by name, read with webdataset and pyarrow alone."""
    found: dict[tuple[str, int], dict] = {}
    for shard in case.shards:
        if shard.format == "webdataset":
            for index, sample in enumerate(tar_samples(Path(shard.url))):
                others = {n: data for n, data in sample.items() if not n.startswith("__") and n != "jpg"}
                found[shard.id, index] = {"key": sample["__key__"], "image": sample.get("jpg"), "sidecar": others}
        else:
            for index, row in enumerate(pq.read_table(shard.url).to_pylist()):
                image = row.pop("image")
                key = row["key"] or f"{index:09d}"
                found[shard.id, index] = {"key": key, "image": image and image["bytes"], "columns": row}
    return found


def test_every_sample_is_in_exactly_one_split_and_unjudged_ones_in_failed(case: Case):
    result = case.filter()
    rows = split_rows(case)
    annotations = {(row.shard, row.index): row for row in case.rows["house"]}
    assert Counter((r["shard"], r["index"]) for r in rows) == Counter(annotations.keys())
    for row in rows:
        annotation = annotations[row["shard"], row["index"]]
        expected = "failed" if annotation.status is not Status.LABELLED else annotation.rating
        assert row["folder"] == {"failed": "failed", Rating.SAFE: "clean", Rating.UNSAFE: "unsafe"}[expected]
        assert (row["rating"], row["status"], row["key"]) == (annotation.rating, annotation.status, annotation.key)
    assert result.splits == {"failed": 18, "unsafe": 7, "review": 0, "clean": 17} | dict(
        Counter(r["folder"] for r in rows)
    )
    assert result.samples == len(annotations)


def test_parquet_splits_hold_the_sources_bytes(case: Case):
    case.filter()
    expected = source_samples(case)
    rows = split_rows(case)
    assert len(rows) == len(expected)
    for row in rows:
        source = expected[row["shard"], row["index"]]
        sidecar = {entry["name"]: entry["data"] for entry in row["sidecar"]}
        assert row["key"] == source["key"]
        assert (row["image"] and row["image"]["bytes"]) == source["image"]
        if "columns" in source:
            assert pa.ipc.open_stream(sidecar["columns.arrow"]).read_all().to_pylist() == [source["columns"]]
        else:
            assert sidecar == source["sidecar"]
            assert row["caption"] == source["sidecar"]["txt"].decode()


def test_tar_splits_hold_the_original_members_in_order(case: Case):
    case.filter(write="webdataset")
    shard = case.shards[0]
    split_of = {r.key: ("failed" if r.rating is None else r.rating) for r in case.rows["house"] if r.shard == shard.id}
    folder = {"failed": "failed", Rating.SAFE: "clean", Rating.UNSAFE: "unsafe"}
    expected: dict[str, list[tuple[str, bytes]]] = {"failed": [], "clean": [], "unsafe": []}
    for name, data in laion_members(0, 30):
        expected[folder[split_of[name.split(".")[0]]]].append((name, data))
    for split, members in expected.items():
        (path,) = (case.root / "splits" / split).glob(f"{shard.id}-*.tar")
        with tarfile.open(path) as tar:
            assert [(m.name, tar.extractfile(m).read()) for m in tar] == members
            assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar.getmembers()} == {(0, 0, 0, "")}


def test_rows_become_one_webdataset_sample_each_whatever_their_key(case: Case):
    case.filter(write="webdataset", splits={"clean": "true"})
    shard = case.shards[1]
    found = {}
    for split in ("clean", "failed"):
        (path,) = (case.root / "splits" / split).glob(f"{shard.id}-*.tar")
        for sample in tar_samples(path):
            columns = pa.ipc.open_stream(sample["columns.arrow"]).read_all().to_pylist()[0]
            found[columns["score"]] = (sample, columns)
    assert len(found) == len(KEYS)
    for index, (_, (sample, columns)) in enumerate(sorted(found.items())):
        key = KEYS[index] or f"{index:09d}"
        assert unquote(sample["__key__"]) in (key, f"{key}#{index}")
        assert columns["key"] == KEYS[index]
        assert json.loads(sample["json"])["label"] == columns["label"]
        assert sample.get("png") == (None if index % 5 == 4 else picture(index, "PNG"))


def test_the_index_names_the_samples(case: Case):
    result = case.filter(write="index")
    annotations = {(row.shard, row.index): row for row in case.rows["house"]}
    rows = split_rows(case)
    assert set(rows[0]) == {"folder", "key", "shard", "index", "sha256"}
    assert {(r["shard"], r["index"]): r["sha256"] for r in rows} == {i: row.sha256 for i, row in annotations.items()}
    assert Counter(r["folder"] for r in rows) == Counter({s: n for s, n in result.splits.items() if n})


def test_index_needs_no_source(case: Case):
    for shard in case.shards:
        Path(shard.url).unlink()
    assert case.filter(write="index").samples == 42


def test_thresholds_change_the_splits_and_no_annotation(case: Case):
    before = {p: p.read_bytes() for p in (case.root / "annotations").rglob("*.parquet")}
    case.filter()
    result = case.filter(thresholds={"unsafe": 0.6, "review": 0.3})
    assert before == {p: p.read_bytes() for p in (case.root / "annotations").rglob("*.parquet")}
    expected = Counter(
        "failed"
        if r.p_unsafe is None
        else "unsafe"
        if r.p_unsafe >= 0.55
        else "review"
        if r.p_unsafe >= 0.25
        else "clean"
        for r in case.rows["house"]
    )
    assert dict(Counter(r["folder"] for r in split_rows(case))) == dict(expected)
    assert result.splits == {s: expected[s] for s in ("failed", "unsafe", "review", "clean")}


def test_clean_is_subdivided_and_equal_keys_go_together(tmp_path: Path):
    parquet = write_parquet(tmp_path / "b.parquet", [f"key {n // 2}" for n in range(60)])
    case = judged(tmp_path / "run", [parquet])
    result = case.filter(subdivide={"train": 0.6, "test": 0.4})
    folders = {(r["key"], r["folder"]) for r in split_rows(case) if r["folder"].startswith("clean")}
    assert {folder for _, folder in folders} == {"clean/train", "clean/test"} == {p for p in result.parts if "/" in p}
    assert len(folders) == len({key for key, _ in folders})
    assert sum(n for part, n in result.parts.items() if "/" in part) == result.splits["clean"]


def test_removals_are_listed_with_reason_and_by_the_sources_own_label(case: Case):
    result = case.filter(thresholds={"review": 0.5})
    removed = pq.read_table(case.root / f"tables/removed-{result.digest}.parquet").to_pylist()
    kept = Counter(r["folder"] for r in split_rows(case))["clean"]
    assert len(removed) == result.removed == 42 - kept
    assert {r["split"] for r in removed} == {"failed", "unsafe", "review"}
    assert {r["reason"] for r in removed if r["split"] == "failed"} == {
        "not judged: missing_image",
        "not judged: undecodable",
        "not judged: engine_failure",
    }
    labels = {r["label"]: r for r in pq.read_table(case.root / f"tables/labels-{result.digest}.parquet").to_pylist()}
    own = [json.loads(row.meta)["label"] for row in case.rows["house"]]
    assert {name: r["total"] for name, r in labels.items()} == Counter(own)
    assert {name: r["removed"] for name, r in labels.items()} == Counter(r["label"] for r in removed)
    assert all(r["share"] == r["removed"] / r["total"] for r in labels.values())
    assert sum(row[-1] for row in result.categories) == result.removed == sum(row[-1] for row in result.reasons)


def test_row_groups_are_small_and_know_their_pages(case: Case):
    case.filter(rows_per_group=4, splits={"clean": "true"})
    (path,) = (case.root / "splits/clean").glob(f"{case.shards[0].id}-*.parquet")
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        columns = {file.metadata.row_group(0).column(i).path_in_schema: i for i in range(file.metadata.num_columns)}
        image = file.metadata.row_group(0).column(columns["image.bytes"])
        assert file.metadata.row_group(0).column(columns["key"]).has_column_index
        assert image.compression == "UNCOMPRESSED"
        assert not image.is_stats_set
    assert max(sizes) == 4
    assert sizes[:-1] == [4] * (len(sizes) - 1)


def test_many_bytes_end_a_row_group_too(case: Case, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet_format, "GROUP_BYTES", 2000)
    case.filter(splits={"clean": "true"})
    (path,) = (case.root / "splits/clean").glob(f"{case.shards[0].id}-*.parquet")
    with pq.ParquetFile(path) as file:
        assert file.num_row_groups > 3


def test_an_image_too_large_to_be_judged_is_copied_whole(tmp_path: Path):
    large = picture(1) + bytes(5000)
    tar = write_tar(tmp_path / "a.tar", [("a.jpg", large), ("b.jpg", picture(2))])

    def too_large(sample, policy):
        return by_number(sample, policy) if sample.failure is None else {"status": sample.failure.status}

    case = judged(tmp_path / "run", [tar], too_large, max_bytes=4000)
    assert [row.status for row in case.rows["house"]] == [Status.TOO_MANY_BYTES, Status.LABELLED]
    case.filter()
    rows = {row["key"]: row for row in split_rows(case)}
    assert rows["a"]["folder"] == "failed"
    assert rows["a"]["image"]["bytes"] == large


@pytest.mark.parametrize("write", ["parquet", "webdataset", "index"])
def test_a_broken_shard_gives_what_was_judged(tmp_path: Path, write: str):
    tar = write_tar(tmp_path / "a.tar", laion_members(0, 5))
    tar.write_bytes(tar.read_bytes()[:7000] + b"\xff" * 9000)
    case = judged(tmp_path / "run", [tar])
    assert 0 < len(case.rows["house"]) < 5
    assert case.filter(write=write).samples == len(case.rows["house"])


def test_shards_that_are_not_judged_under_every_policy_wait(tmp_path: Path):
    tars = [write_tar(tmp_path / f"{n}.tar", laion_members(10 * n, 10)) for n in range(3)]
    case = judged(tmp_path / "run", tars, policies=("house", "kids"))
    case.store.delete(f"commits/kids/{case.shards[1].id}.json")
    result = case.filter()
    assert (result.samples, result.pending) == (20, 1)
    assert case.filter(policy="house").samples == 30


def test_a_custom_split_and_sidecar_fields(case: Case):
    rules = {"unsafe": "unsafe", "lewd": "punsafe >= 0.5", "clean": "NOT unsafe AND punsafe < 0.5"}
    case.filter(splits=rules, fields={"punsafe": "float"})
    for row in split_rows(case):
        punsafe = json.loads(row["meta"]).get("punsafe")
        if row["folder"] == "lewd":
            assert punsafe >= 0.5
        if row["folder"] == "clean":
            assert punsafe < 0.5
        if punsafe is None:
            assert row["folder"] in ("unsafe", "failed", "review")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "nobody"}, "filter.policy=nobody: this run has house"),
        (
            {"fields": {"punsave": "float"}},
            "filter.fields.punsave: no sidecar of this run has it; its fields are caption",
        ),
        ({"subdivide": {"train": 0.5, "test": 0.4}}, "filter.subdivide: the shares add up to 0.9"),
        ({"subdivide": {"train set": 1.0}}, "filter.subdivide.train set"),
        ({"by_category": {"O7": {"unsafe": 0.1}}}, "codes are O1, O2, O3, NA"),
        ({"splits": {"clean": "nonsense = 1"}}, "no column 'nonsense'"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(case: Case, options: dict, message: str):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        case.filter(**options)
    assert case.files() == {}


def test_nothing_judged_is_an_error(case: Case):
    for shard in case.shards:
        case.store.delete(f"commits/house/{shard.id}.json")
    with pytest.raises(InputError, match="no shard is judged yet under house"):
        case.filter()


def _replace_image(case: Case) -> None:
    members = [(n, picture(99) if n == "000000008.jpg" else d) for n, d in laion_members(0, 30)]
    write_tar(Path(case.shards[0].url), members)


def _drop_last(case: Case) -> None:
    write_tar(Path(case.shards[0].url), laion_members(0, 29))


def _cut_off(case: Case) -> None:
    path = Path(case.shards[0].url)
    path.write_bytes(path.read_bytes()[:20000])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_replace_image, InputError, "sample 8, key '000000008', is not the one that was judged"),
        (_drop_last, InputError, "sample 29, key '000000029', is gone"),
        (_cut_off, ShardUnreadable, "breaks off before key"),
    ],
)
def test_a_source_that_changed_is_an_error_and_nothing_of_it_counts(case: Case, change, error, message: str):
    change(case)
    with pytest.raises(error, match=message):
        case.filter()
    assert not [name for name in case.files() if case.shards[0].id in name or name == "README.md"]
    assert not list((case.root / "work/scratch").iterdir())


@pytest.mark.slow
def test_the_estimate_is_close_to_what_is_written(tmp_path: Path):
    def noise(number: int) -> bytes:
        buffer = io.BytesIO()
        data = b"".join(hashlib.sha256(f"{number} {n}".encode()).digest() for n in range(400))
        Image.frombytes("RGB", (64, 64), data[: 64 * 64 * 3]).save(buffer, "PNG")
        return buffer.getvalue()

    members = [m for n in range(200) for m in ((f"{n}.png", noise(n)), (f"{n}.txt", b"caption"))]
    case = judged(tmp_path / "run", [write_tar(tmp_path / "a.tar", members)])
    estimate = split_disk_estimate(case.shards, 200)
    for write in ("parquet", "webdataset", "index"):
        case.filter(write=write)
        ending = "tar" if write == "webdataset" else "parquet"
        written = sum(len(data) for name, data in case.files().items() if name.count("/") > 1 and name.endswith(ending))
        assert 0.5 < estimate[write] / written < 2, write


def test_settings_accept_true_as_yaml_reads_it():
    assert FilterSettings(splits=DEFAULT_RULES | {"clean": True}).splits["clean"] == "true"
