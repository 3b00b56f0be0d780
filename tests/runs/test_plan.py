"""Plans: what patterns stand for, every wrong input, and what the hash covers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from curate.core.errors import InputError, ShardUnreadable
from curate.runs.plan import (
    check_version,
    extend_plan,
    limited_plan,
    make_plan,
    plan_from_bytes,
    plan_to_bytes,
)
from curate.sources.base import shard_id
from curate.sources.patterns import expand
from tests.support.source_cases import dataset, members_of, read, table_of, tar_bytes, write_folder, write_parquet


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Twelve shards of four samples, with what img2dataset writes beside each."""
    for i in range(12):
        (tmp_path / f"{i:05d}.tar").write_bytes(tar_bytes(members_of(4)))
        (tmp_path / f"{i:05d}_stats.json").write_text("{}")
        write_parquet(tmp_path / f"{i:05d}.parquet", table_of(1).drop_columns("image"))
    return tmp_path


def names(urls: list[str]) -> list[str]:
    return [os.path.basename(url) for url in urls]


class TestExpand:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("{00003..00005}.tar", ["00003.tar", "00004.tar", "00005.tar"]),
            ("{00010,00002}.tar", ["00010.tar", "00002.tar"]),
            ("0000{2..0..2}.tar", ["00002.tar", "00000.tar"]),
            ("0001*.tar", ["00010.tar", "00011.tar"]),
            ("0001*", ["00010.tar", "00011.tar"]),
            ("0001?.parquet", ["00010.parquet", "00011.parquet"]),
            ("00001.parquet", ["00001.parquet"]),
            ("{0000[01],00011}.tar", ["00000.tar", "00001.tar", "00011.tar"]),
            ("", [f"{i:05d}.tar" for i in range(12)]),
            ("/", [f"{i:05d}.tar" for i in range(12)]),
        ],
    )
    def test_patterns(self, tars: Path, pattern: str, expected: list[str]) -> None:
        assert names(expand([f"{tars}/{pattern}"])) == expected

    def test_order_is_the_order_given(self, tars: Path) -> None:
        assert names(expand([f"{tars}/00007.tar", f"{tars}/0000[12].tar"])) == ["00007.tar", "00001.tar", "00002.tar"]

    def test_relative_paths_are_those_of_the_working_folder(self, tars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tars)
        assert expand(["00001.tar", "./{00002..00003}.tar"]) == [f"{tars}/0000{i}.tar" for i in (1, 2, 3)]

    def test_folders_of_other_things(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "p/sub/b.parquet", table_of(1))
        write_parquet(tmp_path / "p/a.parquet", table_of(1))
        write_folder(tmp_path / "f", 3)
        assert names(expand([f"{tmp_path}/p"])) == ["a.parquet", "b.parquet"]
        assert expand([f"{tmp_path}/f"]) == [f"{tmp_path}/f"]
        assert expand([f"{tmp_path}/f/*"]) == [f"{tmp_path}/f/class{i}" for i in range(3)]
        assert expand([f"{tmp_path}/p"], format="folder") == [f"{tmp_path}/p"]

    def test_urls(self) -> None:
        memory = fsspec.filesystem("memory")
        for i in range(3):
            memory.pipe(f"/expand/{i}.tar", b"")
        expected = [f"memory:///expand/{i}.tar" for i in range(3)]
        for pattern in ("memory://expand/{0..2}.tar", "memory:///expand/*.tar", "memory://expand", "memory://expand/"):
            assert expand([pattern]) == expected

    def test_each_remote_folder_is_listed_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        memory = fsspec.filesystem("memory")
        for i in range(50):
            memory.pipe(f"/many/{i:02d}.tar", b"")
        calls: list[str] = []
        for name in ("ls", "info", "exists"):
            real = getattr(type(memory), name)
            monkeypatch.setattr(
                type(memory), name, lambda *a, _real=real, _name=name, **k: (calls.append(_name), _real(*a, **k))[1]
            )
        assert len(make_plan(dataset("memory://many/{00..49}.tar")).shards) == 50
        assert len(calls) == 2

    @pytest.mark.parametrize(
        ("patterns", "message"),
        [
            (["{00008..00013}.tar"], r"2 of the 6 shards of .*\{00008..00013\}.tar are missing, first .*00012.tar"),
            (["{x,00001}.tar"], r"1 of the 2 shards of .* first .*x.tar"),
            (["{20000..20005}.tar"], "nothing to read at .*20000..20005.* check the path"),
            (["none.tar"], "nothing to read at .*none.tar"),
            (["nowhere/*.tar"], "nothing to read at .*nowhere.*glob"),
            (["*.json"], "nothing to read at"),
            (["00001.tar", "0000[12].tar"], "the same shard comes twice: .*00001.tar; name it once"),
            (["00001.tar", "../{0}/00001.tar"], "the same shard comes twice"),
            (["{00000..00003.tar"], "unbalanced braces"),
        ],
    )
    def test_wrong_patterns(self, tars: Path, patterns: list[str], message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            expand([f"{tars}/{pattern.replace('{0}', tars.name)}" for pattern in patterns])
        assert "\n" not in str(error.value)
        assert str(error.value).startswith("dataset.shards")

    def test_empty_things(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"dataset.shards is empty"):
            expand([])
        (tmp_path / "readme.txt").write_text("nothing here")
        with pytest.raises(InputError, match="nothing to read"):
            expand([str(tmp_path)])
        with pytest.raises(InputError, match="no images here"):
            make_plan(dataset(tmp_path, format="folder"))

    def test_an_unknown_protocol(self) -> None:
        with pytest.raises(InputError, match="nowhere"):
            expand(["nowhere://bucket/{0..3}.tar"])

    def test_a_name_that_is_not_utf8(self, tmp_path: Path) -> None:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tar")).write_bytes(b"")
        with pytest.raises(InputError, match="not valid UTF-8"):
            expand([f"{tmp_path}/*.tar"])


class TestPlan:
    def test_ids_depend_on_url_and_part_only(self, tars: Path) -> None:
        ids = [shard.id for shard in make_plan(dataset(f"{tars}/{{00000..00011}}.tar")).shards]
        again = [shard.id for shard in make_plan(dataset(f"{tars}/00005.tar", f"{tars}/00000.tar")).shards]
        assert again == [ids[5], ids[0]]
        assert ids[5].startswith("00005-")
        assert shard_id("a/b ü", "u") == "a_b__-" + shard_id("", "u").removeprefix("shard-")
        assert shard_id("a", "u", "1") != shard_id("a", "u", "2")

    def test_formats_may_be_mixed(self, tars: Path) -> None:
        write_parquet(tars / "p/x.parquet", table_of(5))
        plan = make_plan(dataset(f"{tars}/00001.tar", f"{tars}/p", f"{tars}/00000.tar"))
        assert [shard.format for shard in plan.shards] == ["webdataset", "parquet", "webdataset"]
        assert [shard.samples for shard in plan.shards] == [None, 5, None]
        assert plan.samples is None

    def test_metadata_beside_tars_named_as_a_shard(self, tars: Path) -> None:
        with pytest.raises(InputError, match="no image column among caption, punsafe"):
            make_plan(dataset(f"{tars}/00001.parquet"))

    def test_it_comes_back_from_bytes(self, tars: Path) -> None:
        plan = make_plan(dataset(f"{tars}/*.tar", limit=9))
        assert plan_from_bytes(plan_to_bytes(plan)) == plan
        assert plan_to_bytes(plan) == plan_to_bytes(make_plan(dataset(f"{tars}/*.tar", limit=9)))

    def test_damaged_or_edited_bytes(self, tars: Path) -> None:
        plan = make_plan(dataset(f"{tars}/*.tar"))
        with pytest.raises(InputError, match=r"plan.parquet: cannot be read"):
            plan_from_bytes(plan_to_bytes(plan)[:-100])
        with pytest.raises(InputError, match=r"plan.parquet: was changed"):
            plan_from_bytes(plan_to_bytes(replace(plan, shards=plan.shards[1:])))

    def test_what_the_hash_covers(self, tars: Path) -> None:
        def hashed(**settings: object) -> str:
            return make_plan(dataset(f"{tars}/*.tar", **settings)).plan_hash

        before = hashed()
        assert hashed() == before
        assert hashed(max_bytes=5) == before
        assert len({before, hashed(limit=5), hashed(limit=6), hashed(limit=1000)}) == 4
        os.utime(tars / "00003.tar", ns=(0, 0))
        changed = hashed()
        assert changed != before
        (tars / "00012.tar").write_bytes(tar_bytes([]))
        assert hashed() != changed


class TestLimit:
    def test_only_what_is_needed_is_kept(self, tars: Path) -> None:
        plan = make_plan(dataset(f"{tars}/*.tar", limit=10))
        assert [shard.take for shard in plan.shards] == [None, None, 2]
        assert make_plan(dataset(f"{tars}/*.tar", limit=4)).samples == 4
        assert [shard.take for shard in make_plan(dataset(f"{tars}/*.tar", limit=999)).shards] == [None] * 12

    def test_shards_after_the_limit_are_not_opened(self, tars: Path) -> None:
        settings = dataset(f"{tars}/*.tar")
        plan = make_plan(settings)
        (tars / "00003.tar").unlink()
        assert len(limited_plan(plan, settings, 12).shards) == 3
        with pytest.raises(ShardUnreadable):
            limited_plan(plan, settings, 13)

    def test_a_broken_shard_counts_what_can_be_read(self, tars: Path) -> None:
        data = (tars / "00000.tar").read_bytes()
        (tars / "00000.tar").write_bytes(data[: len(data) // 2])
        settings = dataset(f"{tars}/*.tar")
        readable = len(read(make_plan(settings).shards[0], settings)[0])
        assert 0 < readable < 4
        limited = make_plan(dataset(f"{tars}/*.tar", limit=6))
        assert [shard.take for shard in limited.shards] == [None, 6 - readable]

    def test_known_counts_are_not_counted_again(self, tmp_path: Path) -> None:
        write_folder(tmp_path / "f", 10)
        plan = make_plan(dataset(tmp_path / "f", samples_per_shard=4, limit=6))
        assert [(shard.samples, shard.take) for shard in plan.shards] == [(4, None), (4, 2)]
        assert plan.samples == 6


class TestChanges:
    def test_new_shards_are_appended(self, tars: Path) -> None:
        old = make_plan(dataset(f"{tars}/0000[45].tar"))
        new = make_plan(dataset(f"{tars}/{{00003..00006}}.tar"))
        assert names([shard.url for shard in extend_plan(old, new).shards]) == [f"{i:05d}.tar" for i in (4, 5, 3, 6)]
        assert extend_plan(old, old) == old

    def test_old_shards_stay_as_they_were(self, tars: Path) -> None:
        settings = dataset(f"{tars}/0000[45].tar")
        old = make_plan(settings)
        with pytest.raises(InputError, match=r"00005.tar: in the run's plan but no longer"):
            extend_plan(old, make_plan(dataset(f"{tars}/00004.tar")))
        (tars / "00004.tar").write_bytes(tar_bytes(members_of(50)))
        new = make_plan(settings)
        with pytest.raises(InputError, match=r"00004.tar: has changed since it was judged; .* reuse="):
            extend_plan(old, new)
        assert extend_plan(old, new, replaceable=[old.shards[0].id]) == new
        with pytest.raises(ShardUnreadable, match="has changed"):
            check_version(old.shards[0], settings)
        assert check_version(new.shards[0], settings) == new.shards[0].version

    def test_a_copy_is_the_same_shard(self, tars: Path) -> None:
        settings = dataset(f"{tars}/0000[45].tar")
        old = make_plan(settings)
        os.utime(tars / "00004.tar", ns=(1, 1))
        new = make_plan(settings)
        assert new.shards[0].version != old.shards[0].version
        assert extend_plan(old, new) == old
        assert check_version(old.shards[0], settings) == new.shards[0].version

    def test_a_lower_limit_is_another_run(self, tars: Path) -> None:
        whole, cut = make_plan(dataset(f"{tars}/*.tar")), make_plan(dataset(f"{tars}/*.tar", limit=5))
        with pytest.raises(InputError, match=r"dataset.limit=5: the run was planned without one; leave it so"):
            extend_plan(whole, cut)
        with pytest.raises(InputError, match=r"dataset.limit=3: the run was planned with 5; leave it so"):
            extend_plan(cut, make_plan(dataset(f"{tars}/*.tar", limit=3)))

    def test_a_higher_limit_is_growth(self, tars: Path) -> None:
        limits = (2, 5, 7, None)
        cut, *more = (make_plan(dataset(f"{tars}/*.tar", limit=limit)) for limit in limits)
        for plan, limit in zip(more, limits[1:], strict=True):
            assert extend_plan(cut, plan) == plan
            assert plan.limit == limit

    def test_a_link_has_the_version_of_what_it_points_to(self, tars: Path) -> None:
        (tars / "links").mkdir()
        (tars / "links/00001.tar").symlink_to(tars / "00001.tar")
        linked, itself = (make_plan(dataset(path)).shards[0] for path in (tars / "links", tars / "00001.tar"))
        assert linked.version == itself.version
        assert itself.version is not None

    def test_a_shard_that_is_gone_has_no_version(self, tars: Path) -> None:
        settings = dataset(tars / "00001.tar")
        (shard,) = make_plan(settings).shards
        (tars / "00001.tar").unlink()
        with pytest.raises(ShardUnreadable):
            check_version(shard, settings)
