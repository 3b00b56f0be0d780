"""What is no part of any sample: each kind once, counted by its reason with the name of the first."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from curate.cli.program import main
from curate.core.types import Sample
from curate.runs.plan import make_plan
from curate.settings.dataset import DatasetSettings
from curate.sources.passed_over import (
    CUT,
    DANGLING,
    HIDDEN,
    KEY_COMES_BACK,
    MACOS_TWINS,
    NO_PICTURE,
    NUMBERED,
    ORPHANS,
    OUTSIDE,
    RESERVED,
    SPARSE,
    SPECIAL,
    SYMBOLIC_LINKS,
    PassedOverLedger,
)
from curate.sources.registry import source_for
from curate.sources.webdataset import MOST_MEMBERS
from tests.support.source_cases import dataset, picture, tar_bytes


def told(settings: DatasetSettings) -> tuple[list[Sample], dict[str, tuple[int, str]]]:
    """All samples of a data set, and what was noted; the same while counting as while reading."""
    read, counted = PassedOverLedger(), PassedOverLedger()
    samples: list[Sample] = []
    for shard in make_plan(settings).shards:
        source = source_for(shard.format)
        found = list(source.samples(shard, settings, read.add))
        assert source.count(shard, settings, 10**9, counted.add) == len({sample.index for sample in found})
        samples += found
    assert read.found == counted.found
    return samples, {reason: (one.count, one.first) for reason, one in read.found.items()}


def write(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> DatasetSettings:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                header = tarfile.TarInfo(member[0])
                header.size = len(member[1])
                archive.addfile(header, io.BytesIO(member[1]))
    return dataset(path)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


def test_members_that_belong_to_no_sample(tmp_path):
    settings = write(
        tmp_path / "0.tar",
        ("a.jpg", picture(0)),
        ("._a.jpg", b"\0\5\x16\7"),
        ("__MACOSX/._a.jpg", b"\0\5\x16\7"),
        (".DS_Store", b"x"),
        ("d/._a.jpg", b"\0\5\x16\7"),
        special("link.jpg", tarfile.SYMTYPE, "a.jpg"),
        special("pipe.jpg", tarfile.FIFOTYPE),
        special("d", tarfile.DIRTYPE),
        ("README", b"text"),
        ("__meta__/x.jpg", picture(2)),
    )
    samples, found = told(settings)
    assert [sample.key for sample in samples] == ["a"]
    assert found == {
        MACOS_TWINS: (3, "._a.jpg"),
        HIDDEN: (1, ".DS_Store"),
        SYMBOLIC_LINKS: (1, "link.jpg"),
        SPECIAL: (1, "pipe.jpg"),
        NO_PICTURE: (1, "README"),
        RESERVED: (1, "__meta__/x.jpg"),
    }


def test_sparse_members_are_counted_and_cost_nobody_else(tmp_path):
    (tmp_path / "s.jpg").write_bytes(b"")
    with (tmp_path / "s.jpg").open("r+b") as file:
        file.truncate(2**20)
        file.seek(2**19)
        file.write(b"x")
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "z.jpg").write_bytes(picture(2))
    names = ["a.jpg", "s.jpg", "z.jpg"]
    assert os.spawnlp(os.P_WAIT, "tar", "tar", "-S", "-C", str(tmp_path), "-cf", str(tmp_path / "0.tar"), *names) == 0
    samples, found = told(dataset(tmp_path / "0.tar"))
    assert [sample.key for sample in samples] == ["a", "z"]
    assert found == {SPARSE: (1, "s.jpg")}


def test_names_without_a_suffix_are_pictures_if_they_look_like_one(tmp_path):
    settings = write(tmp_path / "0.tar", ("image_1", picture(1)), ("image_2", picture(2)), ("notes", b"x"))
    samples, found = told(settings)
    assert [(sample.key, sample.image, sample.part) for sample in samples] == [
        ("image_1", picture(1), ""),
        ("image_2", picture(2), ""),
    ]
    assert found == {NO_PICTURE: (1, "notes")}


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "pjpeg", "mpo", "JPG", "jpg?w=500", "JPG:large", "jpg_large", "dat"])
def test_the_same_bytes_have_the_same_fate_in_a_tar_and_in_a_folder(tmp_path, suffix):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f"a.{suffix}").write_bytes(picture(1))
    for settings in (write(tmp_path / "0.tar", (f"a.{suffix}", picture(1))), dataset(folder, format="folder")):
        (sample,), found = told(settings)
        assert (sample.key, sample.image, sample.part, found) == ("a", picture(1), suffix, {})


class TestHardLinks:
    def test_they_have_the_bytes_of_what_they_name(self, tmp_path):
        settings = write(
            tmp_path / "0.tar",
            ("a.jpg", picture(1)),
            special("b.jpg", tarfile.LNKTYPE, "a.jpg"),
            ("c.jpg", picture(3)),
            special("d.jpg", tarfile.LNKTYPE, "c.jpg"),
            special("e.jpg", tarfile.LNKTYPE, "a.jpg"),
            ("f.jpg", picture(4)),
        )
        samples, found = told(settings)
        images = [picture(n) for n in (1, 1, 3, 3, 1, 4)]
        assert [(sample.key, sample.image) for sample in samples] == list(zip("abcdef", images, strict=True))
        assert found == {}

    def test_the_last_of_several_archives_in_one_file(self, tmp_path):
        write(tmp_path / "1.tar", ("a.jpg", picture(1)), ("b.jpg", picture(2)))
        write(tmp_path / "2.tar", ("c.jpg", picture(3)), special("d.jpg", tarfile.LNKTYPE, "c.jpg"))
        joined = tmp_path / "joined.tar"
        joined.write_bytes((tmp_path / "1.tar").read_bytes() + (tmp_path / "2.tar").read_bytes())
        samples, _ = told(dataset(joined))
        assert [sample.image for sample in samples] == [picture(n) for n in (1, 2, 3, 3)]

    def test_where_there_is_no_way_back_they_have_a_row_that_says_so(self, tmp_path):
        write(tmp_path / "0.tar", ("a.jpg", picture(1)), special("b.jpg", tarfile.LNKTYPE, "a.jpg"))
        (tmp_path / "0.tar.gz").write_bytes(gzip.compress((tmp_path / "0.tar").read_bytes()))
        samples, found = told(dataset(tmp_path / "0.tar.gz"))
        assert [sample.failure and sample.failure.status for sample in samples] == [None, "missing_image"]
        assert "hard link to a.jpg" in samples[1].failure.detail
        assert found == {}

    def test_to_nothing(self, tmp_path):
        settings = write(tmp_path / "0.tar", special("b.jpg", tarfile.LNKTYPE, "../etc/passwd"), ("c.jpg", picture(1)))
        samples, _ = told(settings)
        assert [(sample.key, sample.image) for sample in samples] == [("b", None), ("c", picture(1))]


def test_keys_that_come_back_are_noticed(tmp_path):
    members = [(f"{n}.jpg", picture(n)) for n in range(4)] + [(f"{n}.txt", b"caption") for n in range(4)]
    members.insert(4, ("alone.jpg", picture(9)))
    samples, found = told(write(tmp_path / "0.tar", *members))
    assert len(samples) == 9
    assert found == {KEY_COMES_BACK: (4, "0")}


def test_numbered_names_are_one_sample_and_said_to_be(tmp_path):
    settings = write(
        tmp_path / "0.tar", *((f"photo.{n}.jpg", picture(n)) for n in range(5)), ("a.left.jpg", picture(9))
    )
    samples, found = told(settings)
    assert [(sample.key, sample.index) for sample in samples] == [*[("photo", 0)] * 5, ("a", 1)]
    assert found == {NUMBERED: (1, "photo")}
    apart, found = told(settings.model_copy(update={"suffix_from": "last_dot"}))
    assert [(sample.key, sample.index) for sample in apart] == [*((f"photo.{n}", n) for n in range(5)), ("a.left", 5)]
    assert found == {}


def test_a_sample_without_end_is_cut(tmp_path):
    count = MOST_MEMBERS + 3
    samples, found = told(write(tmp_path / "0.tar", *((f"p.{n:04d}.jpg", b"x") for n in range(count))))
    assert [sample.index for sample in samples] == [0] * MOST_MEMBERS + [1] * 3
    assert found == {CUT: (1, "p"), NUMBERED: (2, "p")}


def test_what_lies_in_a_folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for n, name in enumerate(("a.jpg", "sub/b.jfif", "c", "d.png?x=1")):
        (folder / name).write_bytes(picture(n))
    (folder / "a.txt").write_text("caption")
    (folder / "alone.txt").write_text("caption of nothing")
    (folder / "notes").write_text("x")
    (folder / "table.csv").write_text("x")
    (folder / ".hidden.jpg").write_bytes(picture(9))
    (folder / "._a.jpg").write_bytes(b"x")
    (folder / "dangling.jpg").symlink_to("/nowhere/at/all.jpg")
    (folder / "self.jpg").symlink_to("self.jpg")
    (folder / "sub/up").symlink_to("..")
    (tmp_path / "secret").write_bytes(picture(8))
    (folder / "outside").symlink_to(tmp_path / "secret")
    samples, found = told(dataset(folder, format="folder", samples_per_shard=2))
    assert {(sample.key, sample.image is None) for sample in samples} == {
        (key, False) for key in ("a", "sub/b", "c", "d")
    }
    assert {reason: count for reason, (count, _) in found.items()} == {
        HIDDEN: 1, MACOS_TWINS: 1, DANGLING: 2, NO_PICTURE: 2, ORPHANS: 1, OUTSIDE: 1,
    }  # fmt: skip
    assert found[ORPHANS] == (1, "alone.txt")


@pytest.mark.slow
def test_it_is_said_everywhere(tmp_path, capsys):
    write(
        tmp_path / "0.tar", ("a.jpg", picture(0)), (".x", b"x"), special("l.jpg", tarfile.SYMTYPE, "a.jpg"),
        ("b.jpg", picture(1)), ("a.txt", b"late"),
    )  # fmt: skip
    write(tmp_path / "1.tar", ("c.jpg", picture(2)), special("m.jpg", tarfile.SYMTYPE, "c.jpg"))
    out = tmp_path / "run"
    job = ["+dataset=laion_subset", f"dataset.shards={tmp_path}/?.tar", "engine=fake", "engine.workers=0"]
    assert main(["plan", *job, "probe=0"]) == 0
    planned = capsys.readouterr().out
    assert main(["run", *job, f"output.dir={out}"]) == 0
    summed_up = capsys.readouterr().out
    said = ["1 hidden files, first .x", "2 symbolic links, first l.jpg", "1 keys that come back behind others, first a"]
    for text in (planned, summed_up):
        assert [one for one in said if one not in " ".join(text.split())] == []
        assert "tar --sort=name" in " ".join(text.split())
    first, second = (json.loads(path.read_text()) for path in sorted(out.glob("commits/*/*.json")))
    assert first["passed_over"][HIDDEN] == {"count": 1, "first": ".x"}
    assert second["passed_over"] == {SYMBOLIC_LINKS: {"count": 1, "first": "m.jpg"}}
    card = (out / "README.md").read_text()
    assert "| symbolic links | 2 | l.jpg | write the tar again with `tar --dereference` |" in card
    assert main(["verify", f"output.dir={out}"]) == 0
    verified = capsys.readouterr().out
    assert "note: shards with symbolic links: " in verified
    write(tmp_path / "1.tar", ("c.jpg", picture(2)))
    assert main(["verify", f"output.dir={out}"]) == 4
    assert "the source has 0 symbolic links, judged beside 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("empty.tar", tar_bytes([]), "no sample in any of 1 shards"),
        ("zip.tar", b"PK\3\4" + bytes(600), "zip.tar: a zip, whatever its name"),
        ("torn.tar", tar_bytes([("a.jpg", picture(1))])[:300], "1 shards gave nothing"),
        ("links.tar", None, "no sample in any of 1 shards"),
    ],
)
@pytest.mark.slow
def test_a_run_that_gave_nothing_says_so_last_and_is_not_a_success(tmp_path, capsys, name, data, expected):
    if data is None:
        write(tmp_path / name, special("l.jpg", tarfile.SYMTYPE, "a.jpg"))
    else:
        (tmp_path / name).write_bytes(data)
    job = ["+dataset=laion_subset", f"dataset.shards={tmp_path}/{name}", f"output.dir={tmp_path}/run"]
    for _ in range(2):  # also where nothing was left to do
        assert main(["run", *job, "engine=fake", "engine.workers=0"]) == 2
        done = capsys.readouterr()
        assert expected in done.err.strip().splitlines()[-1]
        assert "load_dataset" not in done.out
