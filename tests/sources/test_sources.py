"""What every source promises, held against each of them; a new source adds one class."""

from __future__ import annotations

import base64
import gzip
import json
import os
import tracemalloc
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.core.errors import InputError, ShardUnreadable
from curate.core.types import ShardRef, Status
from curate.runs import run_folder
from curate.runs.plan import check_version, make_plan
from curate.settings.dataset import DatasetSettings
from curate.sources.base import unlimited
from curate.sources.files import RUN_FILES, _left_out
from curate.sources.folder import FolderSource
from curate.sources.meta import describe, plain
from curate.sources.names import to_bytes, to_text
from curate.sources.registry import SOURCES, detect_format, source_for
from curate.sources.row_columns import COLUMNS, columns
from tests.support.http_server import serving
from tests.support.source_cases import (
    dataset,
    members_of,
    only_shard,
    picture,
    read,
    table_of,
    tar_bytes,
    write_folder,
    write_parquet,
)

COUNT = 30


def damage_page(path: Path, first: bytes) -> None:
    """Overwrite the header of the page that starts with `first`."""
    data = bytearray(path.read_bytes())
    start = data.index(first)
    data[start - 40 : start] = b"\xff" * 40
    path.write_bytes(data)


class SourceTests(ABC):
    """The contract of `curate.sources.base.Source`."""

    @abstractmethod
    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        """A data set of COUNT samples, and the image bytes in the order of the samples."""

    def break_end(self, root: Path) -> None:
        """Damage the second half of the data in place, behind the source's back."""
        pytest.skip("no part of this data is read before another")

    @pytest.fixture
    def case(self, tmp_path: Path) -> tuple[DatasetSettings, list[bytes], tuple[ShardRef, ...]]:
        settings, images = self.build(tmp_path)
        return settings, images, make_plan(settings).shards

    def test_original_bytes_in_order(self, case: tuple) -> None:
        settings, images, shards = case
        assert [s.image for shard in shards for s in read(shard, settings)[0]] == images

    def test_two_readings_are_equal(self, case: tuple) -> None:
        settings, _, shards = case
        again = make_plan(settings).shards
        assert again == shards
        assert [read(shard, settings) for shard in shards] == [read(shard, settings) for shard in again]

    def test_indices_have_no_gaps(self, case: tuple) -> None:
        settings, _, shards = case
        for shard in shards:
            found, damage = read(shard, settings)
            assert [s.index for s in found] == list(range(len(found)))
            assert damage is None

    def test_count_agrees_with_samples(self, case: tuple) -> None:
        settings, _, shards = case
        for shard in shards:
            found, _ = read(shard, settings)
            assert source_for(shard.format).count(shard, settings, 10**6) == len(found)
            assert source_for(shard.format).count(shard, settings, 4) == min(4, len(found))
            assert shard.samples in (None, len(found))

    def test_ids_are_unique_and_safe(self, case: tuple) -> None:
        _, _, shards = case
        assert len({shard.id for shard in shards}) == len(shards)
        assert all(
            set(shard.id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") for shard in shards
        )

    def test_meta_and_names_are_json_and_utf8(self, case: tuple) -> None:
        settings, _, shards = case
        for sample in read(shards[0], settings)[0]:
            assert json.loads(json.dumps(sample.meta, allow_nan=False, ensure_ascii=False).encode()) == sample.meta
            assert sample.key.encode()

    def test_version_is_what_was_planned(self, case: tuple) -> None:
        settings, _, shards = case
        assert [check_version(shard, settings) for shard in shards] == [shard.version for shard in shards]

    def test_image_over_the_limit_is_not_held_but_not_lost(self, case: tuple) -> None:
        settings, images, shards = case
        small = settings.model_copy(update={"max_bytes": 10})
        found = read(shards[0], small)[0]
        assert {s.failure.status for s in found if s.failure} == {Status.TOO_MANY_BYTES}
        assert all(s.image is None and s.failure and s.sha256 for s in found)
        whole = read(shards[0], unlimited(small))[0]
        assert [s.image for s in whole] == images[: len(whole)]
        assert [s.sidecar for s in whole] == [s.sidecar for s in found]

    def test_yields_before_the_end_is_read(self, case: tuple, tmp_path: Path) -> None:
        settings, images, shards = case
        self.break_end(tmp_path)
        found, damage = read(shards[0], settings)
        assert damage is not None
        assert damage.index == len(found)
        assert 0 < len(found) < COUNT
        assert [s.image for s in found] == images[: len(found)]

    def test_gone(self, case: tuple, tmp_path: Path) -> None:
        settings, _, shards = case
        for path in sorted(tmp_path.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        with pytest.raises(ShardUnreadable, match="cannot be read"):
            check_version(shards[0], settings)


class TestTar(SourceTests):
    name = "00000.tar"

    def pack(self, data: bytes) -> bytes:
        return data

    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        (root / self.name).write_bytes(self.pack(tar_bytes(members := members_of(COUNT))))
        return dataset(root / self.name), [data for name, data in members if name.endswith(".jpg")]

    def break_end(self, root: Path) -> None:
        data = (root / self.name).read_bytes()
        (root / self.name).write_bytes(data[: len(data) * 2 // 3])


class TestTarGzip(TestTar):
    name = "00000.tar.gz"

    def pack(self, data: bytes) -> bytes:
        return gzip.compress(data)


class TestTarZstandard(TestTar):
    name = "00000.tar.zst"

    def pack(self, data: bytes) -> bytes:
        half = len(data) // 2
        return zstandard.compress(data[:half]) + zstandard.compress(data[half:])


class TestParquet(SourceTests):
    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        table = table_of(COUNT)
        return dataset(write_parquet(root / "a.parquet", table)), [row["bytes"] for row in table["image"].to_pylist()]

    def break_end(self, root: Path) -> None:
        damage_page(root / "a.parquet", picture(16))


class TestArrow(SourceTests):
    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        table = table_of(COUNT)
        for name, opened, rows in (("a.arrow", pa.ipc.new_stream, 7), ("b.arrow", pa.ipc.new_file, 100)):
            with pa.OSFile(str(root / name), "wb") as sink, opened(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=rows)
        return dataset(root, format="auto"), [picture(i) for i in range(COUNT)] * 2

    def break_end(self, root: Path) -> None:
        data = (root / "a.arrow").read_bytes()
        (root / "a.arrow").write_bytes(data[: len(data) // 2])


class TestZip(SourceTests):
    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members_of(COUNT):
                archive.writestr(name, data)
        return dataset(root / "a.zip", format="auto"), [picture(i) for i in range(COUNT)]


class TestManifests(SourceTests):
    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        (root / "pictures").mkdir()
        for i in range(COUNT):
            (root / f"pictures/{i}.jpg").write_bytes(picture(i))
        paths = [f"pictures/{i}.jpg" if i % 2 else f"{root}/pictures/{i}.jpg" for i in range(COUNT)]
        (root / "a.csv").write_text("filepath,title\n" + "".join(f'{path},"a, ""b"""\n' for path in paths))
        (root / "b.tsv").write_text("title\timage\n" + "".join(f"naïve\t./{path[-80:]}\n" for path in paths[1::2]))
        encoded = [base64.b64encode(picture(i)).decode() for i in range(COUNT)]
        (root / "c.jsonl").write_text(
            "".join(json.dumps({"image": text, "n": i}) + "\n\n" for i, text in enumerate(encoded))
        )
        images = [picture(i) for i in range(COUNT)]
        return dataset(*(root / name for name in ("a.csv", "b.tsv", "c.jsonl"))), [*images, *images[1::2], *images]


class TestFolder(SourceTests):
    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        write_folder(root / "pictures", COUNT)
        paths = sorted((root / "pictures").rglob("*.JPG"), key=str)
        return dataset(root / "pictures", samples_per_shard=7), [path.read_bytes() for path in paths]

    def test_shards_and_labels(self, tmp_path: Path) -> None:
        settings, _ = self.build(tmp_path)
        shards = make_plan(settings).shards
        assert [shard.samples for shard in shards] == [7, 7, 7, 7, 2]
        first = read(shards[0], settings)[0][0]
        assert (first.key, first.image_name) == ("class0/0000", "class0/0000.JPG")
        assert first.meta == {"label": "class0", "caption": "picture 0"}
        assert first.sidecar == {"txt": b"picture 0"}

    def test_changed_file_changes_the_version(self, tmp_path: Path) -> None:
        settings, _ = self.build(tmp_path)
        shards = make_plan(settings).shards
        (tmp_path / "pictures/class0/0000.txt").write_text("another caption")
        with pytest.raises(ShardUnreadable, match="changed"):
            check_version(shards[0], settings)
        assert check_version(shards[1], settings) == shards[1].version

    def test_hidden_files_and_link_loops(self, tmp_path: Path) -> None:
        settings, images = self.build(tmp_path)
        (tmp_path / "pictures/._0000.JPG").write_bytes(b"resource fork")
        (tmp_path / "pictures/class0/up").symlink_to(tmp_path / "pictures")
        assert sum(shard.samples or 0 for shard in make_plan(settings).shards) == len(images)

    def test_what_a_link_leads_to_outside_of_the_folder_is_not_read(self, tmp_path: Path) -> None:
        settings, _ = self.build(tmp_path)
        secret = tmp_path / "credentials"
        secret.write_text("TOPSECRET")
        elsewhere = write_folder(tmp_path / "elsewhere", 2)
        folder = tmp_path / "pictures/class0"
        (folder / "0000.txt").unlink()
        (folder / "0000.txt").symlink_to(secret)
        (folder / "secret.jpg").symlink_to(secret)
        (folder / "more").symlink_to(elsewhere)
        (folder / "again.jpg").symlink_to(folder / "0000.JPG")
        found = {s.image_name: s for shard in make_plan(settings).shards for s in read(shard, settings)[0]}
        assert b"TOPSECRET" not in b"".join([s.image or b"" for s in found.values()])
        assert (found["class0/0000.JPG"].sidecar, found["class0/0000.JPG"].meta) == (
            {},
            {"label": "class0", "links_left_out": ["0000.txt"]},
        )
        out = [name for name, sample in found.items() if sample.failure]
        assert out == sorted(["class0/secret.jpg", *(n for n in found if n.startswith("class0/more/"))])
        assert {found[name].failure.status for name in out} == {Status.MISSING_IMAGE}
        assert "dataset.outside_links=true reads it" in found["class0/secret.jpg"].failure.detail
        assert found["class0/again.jpg"].image == found["class0/0000.JPG"].image

    def test_a_cache_of_the_hub_is_links_and_is_read(self, tmp_path: Path) -> None:
        repo = tmp_path / "datasets--some--pictures"
        snapshot = repo / "snapshots/0123abcd/train"
        snapshot.mkdir(parents=True)
        (repo / "blobs").mkdir()
        for number in range(3):
            (repo / f"blobs/{number}").write_bytes(picture(number))
            (snapshot / f"{number}.jpg").symlink_to(f"../../../blobs/{number}")
        (tmp_path / "credentials").write_text("TOPSECRET")
        (snapshot / "secret.jpg").symlink_to(tmp_path / "credentials")
        settings = dataset(snapshot, format="folder")
        found = [s for shard in make_plan(settings).shards for s in read(shard, settings)[0]]
        assert [s.image for s in found] == [*(picture(number) for number in range(3)), None]

    def test_links_of_ones_own_are_followed(self, tmp_path: Path) -> None:
        settings, images = self.build(tmp_path)
        elsewhere = write_folder(tmp_path / "elsewhere", 2)
        (tmp_path / "pictures/linked").symlink_to(elsewhere)
        own = settings.model_copy(update={"outside_links": True})
        found = [s for shard in make_plan(own).shards for s in read(shard, own)[0]]
        assert len(found) == len(images) + 2
        assert not any(s.failure for s in found)


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    pictures = pa.array([picture(n) for n in range(2)], pa.binary())
    table = pa.Table.from_arrays([pa.array(["a", "b"]), pa.array(["c", "d"]), pictures], ["key", "key", "image"])
    pq.write_table(table, tmp_path / "0.parquet")
    settings = dataset(tmp_path / "0.parquet")
    (shard,) = make_plan(settings).shards
    assert [sample.key for sample in read(shard, settings)[0]] == ["000000000", "000000001"], "as without any"
    with pytest.raises(InputError, match=r"two columns are called 'key' \(dataset.key\); rename one"):
        make_plan(dataset(tmp_path / "0.parquet", key="key"))


def test_a_picture_in_another_column_is_told(tmp_path: Path) -> None:
    struct = [{"bytes": picture(n), "path": f"{n}.jpg"} for n in range(3)]
    columns = {
        "image": struct,
        "depth": [struct[1], None, None],
        "mask": [None, picture(2), b"\x00\x01 no picture"],
        "thumbs": [[], [struct[0]], []],
        "caption": ["a", "b", "c"],
    }
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), tmp_path / "0.parquet")
    settings = dataset(tmp_path / "0.parquet", image="image")
    (shard,) = make_plan(settings).shards
    assert [sample.unjudged for sample in read(shard, settings)[0]] == [
        "1 more in the sample not judged: depth",
        "2 more in the sample not judged: mask, thumbs[0]",
        None,
    ]


@pytest.mark.parametrize("name", ["my set [v2] ü", "what?", "a*b", "dt=2024-01-01", "(1) & more"])
def test_a_name_that_looks_like_a_glob_is_a_name_where_it_is_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "0.tar").write_bytes(tar_bytes(members_of(2)))
    for pattern in (tmp_path / name / "0.tar", tmp_path / name):
        (shard,) = make_plan(dataset(pattern)).shards
        assert shard.url == str(tmp_path / name / "0.tar")
        assert len(read(shard, dataset(pattern))[0]) == 2


@pytest.fixture
def beside_a_run(tmp_path: Path) -> Path:
    """Two shards, and below them the folder of a run whose splits are shards as well."""
    for number in range(2):
        (tmp_path / f"{number}.tar").write_bytes(tar_bytes(members_of(3)))
    clean = tmp_path / "runs/mine/splits/clean"
    clean.mkdir(parents=True)
    (clean / "0-abc.tar").write_bytes(tar_bytes(members_of(2)))
    for name in RUN_FILES:
        (tmp_path / "runs/mine" / name).touch()
    return tmp_path


def test_a_runs_output_is_no_input(beside_a_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _left_out.cache_clear()
    for pattern in (beside_a_run, f"{beside_a_run}/**/*.tar", f"{beside_a_run}/**"):
        found = make_plan(dataset(pattern)).shards
        assert [Path(shard.url).name for shard in found] == ["0.tar", "1.tar"], pattern
    said = capsys.readouterr().err
    assert said.count("runs/mine: is the folder of a run, and no input; left out") == 1


def test_a_runs_output_is_no_input_in_an_object_store_either() -> None:
    store = fsspec.filesystem("memory")
    for name in ("0.tar", "runs/mine/splits/clean/0-abc.tar"):
        store.pipe_file(f"/bucket/{name}", tar_bytes(members_of(2)))
    for name in RUN_FILES:
        store.pipe_file(f"/bucket/runs/mine/{name}", b"x")
    assert [shard.url for shard in make_plan(dataset("memory://bucket")).shards] == ["memory:///bucket/0.tar"]


def test_a_runs_folder_itself_is_no_data_set(beside_a_run: Path) -> None:
    with pytest.raises(InputError, match="nothing to read at"):
        make_plan(dataset(beside_a_run / "runs/mine"))


def test_splits_that_are_named_are_input(beside_a_run: Path) -> None:
    for pattern in ("runs/mine/splits/clean", "runs/mine/splits/clean/*.tar", "runs/mine/splits/**/*.tar"):
        (shard,) = make_plan(dataset(beside_a_run / pattern)).shards
        assert shard.url.endswith("clean/0-abc.tar")


def test_the_marks_of_a_run_are_what_every_run_has() -> None:
    assert set(RUN_FILES) == {run_folder.RUN, run_folder.PLAN}


class Listening(BaseHTTPRequestHandler):
    """Notes what it is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        pass


class TestHub(SourceTests):
    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        table = table_of(COUNT)
        for number in range(2):
            write_parquet(root / f"train-{number}.parquet", table.slice(number * 15, 15))
        options = {"data_files": str(root / "*.parquet"), "split": "train"}
        return dataset("parquet", format="hub", options=options), [row["bytes"] for row in table["image"].to_pylist()]

    def test_one_shard_for_each_stream_shard(self, tmp_path: Path) -> None:
        settings, _ = self.build(tmp_path)
        assert [shard.part for shard in make_plan(settings).shards] == ["train/00000-of-00002", "train/00001-of-00002"]

    def test_images_that_are_paths_are_fetched(self, tmp_path: Path) -> None:
        write_folder(tmp_path / "pictures", 6)
        options = {"data_dir": str(tmp_path / "pictures"), "split": "train"}
        settings = dataset("imagefolder", format="hub", options=options)
        found = [s for shard in make_plan(settings).shards for s in read(shard, settings)[0]]
        assert {s.image for s in found} == {path.read_bytes() for path in tmp_path.rglob("*.JPG")}

    @pytest.mark.slow
    def test_a_row_makes_the_machine_read_no_other_file_and_open_no_address(self, tmp_path: Path) -> None:
        secret = tmp_path / "credentials"
        secret.write_text("TOPSECRET")
        asked: list[str] = []
        with serving(Listening, asked=asked) as address:
            paths = [str(secret), f"file://{secret}", f"{address}/latest/meta-data/", f"zip://a.jpg::{address}/a.zip"]
            paths += [f"simplecache::file://{secret}", "../credentials", "credentials"]
            images = [{"bytes": None, "path": path} for path in paths] + [{"bytes": picture(0), "path": "x.jpg"}]
            (tmp_path / "ds").mkdir()
            table = pa.table({"image": pa.array(images)})
            info = {"info": {"features": {"image": {"_type": "Image"}}}}
            pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), tmp_path / "ds/t.parquet")
            settings = dataset(tmp_path / "ds", format="hub")
            (shard,) = make_plan(settings).shards
            samples, broken = read(shard, settings)
        assert broken is None
        assert [s.image for s in samples] == [None] * len(paths) + [picture(0)]
        assert {s.failure.status for s in samples[:-1]} == {Status.MISSING_IMAGE}
        assert all("no file of this data set" in s.failure.detail for s in samples[:-1])
        assert asked == []

    def test_images_in_an_archive_are_fetched(self, tmp_path: Path) -> None:
        (tmp_path / "pictures").mkdir()
        with zipfile.ZipFile(tmp_path / "pictures/train.zip", "w") as archive:
            for number in range(3):
                archive.writestr(f"{number}.jpg", picture(number))
        settings = dataset("imagefolder", format="hub", options={"data_dir": str(tmp_path / "pictures")})
        found = [s for shard in make_plan(settings).shards for s in read(shard, settings)[0]]
        assert [s.image for s in found] == [picture(number) for number in range(3)]

    def test_a_link_that_leads_out_of_a_folder_of_images_is_not_followed(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path / "pictures", 3)
        (tmp_path / "credentials").write_text("TOPSECRET")
        (folder / "secret.jpg").symlink_to(tmp_path / "credentials")
        settings = dataset("imagefolder", format="hub", options={"data_dir": str(folder), "split": "train"})
        found = [s for shard in make_plan(settings).shards for s in read(shard, settings)[0]]
        assert len(found) == 4
        assert b"TOPSECRET" not in {s.image for s in found}

    def test_what_cannot_be_loaded(self, tmp_path: Path) -> None:
        settings = dataset("parquet", format="hub", options={"data_files": str(tmp_path / "none*.parquet")})
        with pytest.raises(InputError, match="datasets cannot load 'parquet'"):
            make_plan(settings)


class TestHubTars(SourceTests):
    """Tars through `datasets`, whose own builder reads them: keys and sidecars become columns."""

    def build(self, root: Path) -> tuple[DatasetSettings, list[bytes]]:
        members = members_of(COUNT)
        (root / "a.tar").write_bytes(tar_bytes(members))
        options = {"data_files": str(root / "*.tar"), "split": "train"}
        images = [data for name, data in members if name.endswith(".jpg")]
        return dataset("webdataset", format="hub", options=options), images

    def break_end(self, root: Path) -> None:
        data = (root / "a.tar").read_bytes()
        (root / "a.tar").write_bytes(data[: len(data) * 2 // 3])

    def test_keys_are_those_of_the_tar(self, case: tuple) -> None:
        settings, _, shards = case
        assert read(shards[0], settings)[0][3].key == "000003"


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    size = 2**20
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes([(f"{i}.jpg", bytes([i]) * size) for i in range(48)]))
    settings = dataset(path)
    shard = only_shard(path, settings)
    tracemalloc.start()
    assert sum(len(s.image or b"") for s in source_for("webdataset").samples(shard, settings)) == 48 * size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * size


class TestColumns:
    """Parquet rows that are not as one would wish."""

    def one(self, tmp_path: Path, table: pa.Table, **settings: object):
        chosen = dataset(write_parquet(tmp_path / "a.parquet", table), **settings)
        return read(only_shard(tmp_path / "a.parquet", chosen, "parquet"), chosen)

    def test_all_other_columns_come_back_exactly(self, tmp_path: Path) -> None:
        other = pa.table(
            {
                "tags": pa.array([["a", None], []], pa.list_(pa.string())),
                "when": pa.array([datetime(2024, 1, 2, 3, 4, 5, 6), None], pa.timestamp("ns", "UTC")),
                "price": pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)),
                "vector": pa.array([b"\x00\xff" * 600, b""], pa.binary()),
                "score": pa.array([float("nan"), float("inf")], pa.float32()),
                "id": pa.array([2**63 - 1, -1]),
            }
        )
        table = other.append_column("image", pa.array([picture(0), picture(1)]))
        found, _ = self.one(tmp_path, table, image="image")
        back = pa.Table.from_batches([columns(s.sidecar[COLUMNS]) for s in found])
        assert back.drop_columns("score").equals(other.drop_columns("score"))
        assert back["score"].to_numpy().tobytes() == other["score"].to_numpy().tobytes()
        assert found[0].meta["vector"] == "<1200 bytes>"
        assert found[0].meta["score"] is None
        assert str(found[0].meta["when"]).startswith("2024-01-02T03:04:05.000006")
        assert found[0].meta["price"] == "1.50"

    def test_null_image_and_path_without_bytes(self, tmp_path: Path) -> None:
        images = [
            None,
            {"bytes": None, "path": None},
            {"bytes": None, "path": "far/away.jpg"},
            {"bytes": b"", "path": ""},
        ]
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        found, damage = self.one(tmp_path, pa.table({"image": pa.array(images, kind)}))
        assert damage is None
        assert [s.image for s in found] == [None, None, None, b""]
        assert [s.failure.status if s.failure else None for s in found] == [None, None, Status.MISSING_IMAGE, None]

    @pytest.mark.parametrize(
        ("names", "settings", "expected"),
        [
            (["id", "key"], {}, ["k0", "k1"]),
            (["id", "__key__"], {}, ["k0", "k1"]),
            (["id", "key"], {"key": "id"}, ["7", "8"]),
            (["id", "other"], {}, ["000000000", "000000001"]),
        ],
    )
    def test_keys(self, tmp_path: Path, names: list[str], settings: dict, expected: list[str]) -> None:
        table = pa.table({"image": [picture(0), picture(1)], names[0]: [7, 8], names[1]: ["k0", "k1"]})
        assert [s.key for s in self.one(tmp_path, table, **settings)[0]] == expected

    @pytest.mark.parametrize(
        ("table", "settings", "message"),
        [
            ({"url": ["a"], "caption": ["b"]}, {}, "no image column among url, caption"),
            ({"a": [b"1"]}, {"image": "x"}, "no column 'x' .dataset.image."),
            ({"a": [b"1"]}, {"key": "x"}, "no column 'x' .dataset.key."),
            ({"a": [1]}, {"image": "a"}, "holds neither bytes nor texts"),
            ({"URL": ["https://a.test/1.jpg"], "n": [1]}, {}, "column 'URL' holds addresses, which are never opened"),
            ({"image": ["https://a.test/1.jpg"]}, {}, "column 'image' holds addresses, which are never opened"),
            ({"where": ["a/1.jpg"]}, {}, "column 'where' holds paths: dataset.image=where reads"),
        ],
    )
    def test_columns_that_need_a_decision(self, tmp_path: Path, table: dict, settings: dict, message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            self.one(tmp_path, pa.table(table), **settings)
        assert "\n" not in str(error.value)

    def test_no_parquet_at_all_breaks_off_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"not a Parquet file, but long enough to look at")
        settings = dataset(tmp_path / "a.parquet")
        found, damage = read(only_shard(tmp_path / "a.parquet", settings, "parquet"), settings)
        assert found == []
        assert damage is not None
        assert damage.index == 0


def test_formats_and_names(tmp_path: Path) -> None:
    assert set(SOURCES) == {"webdataset", "parquet", "arrow", "zip", "manifest", "folder", "hub"}
    assert detect_format("s3://b/x.TAR.zst") == "webdataset"
    assert detect_format("x.parquet") == "parquet"
    assert detect_format(str(tmp_path)) == "folder"
    with pytest.raises(InputError, match="neither a folder nor one of"):
        detect_format(str(tmp_path / "x.what"))
    assert detect_format("x.zip") == "zip"
    with pytest.raises(InputError, match="not one of auto, webdataset"):
        source_for("tfrecord")


@pytest.mark.parametrize(
    "name", [b"plain", "naïve".encode(), b"\xff\xfe.jpg", b"a\\xff", b"a\\x5cxff\xff", b"\\", b"", b"\xed\xb2\x80"]
)
def test_any_name_becomes_text_and_comes_back(name: bytes) -> None:
    assert to_bytes(to_text(name).encode().decode()) == name


def test_meta_of_odd_sidecars() -> None:
    assert describe(b"caf\xe9", b'{"caption": "json", "n": 1e999}') == {"caption": "caf\ufffd", "n": None}
    assert "json_error" in describe(None, b"{")
    assert "json_error" in describe(None, b"[1]")
    assert "json_error" in describe(None, b"[" * 100_000)
    assert "json_error" in describe(None, b'{"n": ' + b"9" * 5000 + b"}")
    assert describe(None, b'{"s": "\\ud800"}') == {"s": "\\ud800"}
    assert plain({1: (b"ab", float("-inf"))}) == {"1": ["<2 bytes>", None]}


def test_looking_at_a_folder_grows_with_its_files_and_not_with_their_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned, and every shard looked at as a worker does: calls of the file system for twice the files."""

    def calls(count: int) -> int:
        folder = tmp_path / str(count)
        for n in range(count):
            (folder / f"{n % 7}").mkdir(parents=True, exist_ok=True)
            (folder / f"{n % 7}/{n:05d}.jpg").write_bytes(b"")
        counted = Counter[str]()
        with monkeypatch.context() as patched:
            for name in ("stat", "lstat", "scandir", "listdir", "open", "readlink"):
                patched.setattr(os, name, _counted(getattr(os, name), counted))
            settings = dataset(folder, format="folder", samples_per_shard=20)
            source = FolderSource()
            shards = source.shards([str(folder)], settings)
            assert len(shards) == count // 20
            for shard in shards:
                assert source.version(shard, settings) == shard.version
        return counted.total()

    once, twice = calls(400), calls(800)
    assert 400 <= once < 400 * 8
    assert twice < 2.2 * once


def _counted(call: Callable[..., Any], counted: Counter[str]) -> Callable[..., Any]:
    def counting(*arguments: Any, **options: Any) -> Any:
        counted[call.__name__] += 1
        return call(*arguments, **options)

    return counting
