"""Tars: against webdataset itself, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import ShardUnreadable
from curate.core.types import Sample, Status
from curate.sources.names import to_bytes
from curate.sources.registry import source_for
from tests.support.source_cases import dataset, members_of, only_shard, picture, read, read_tar, tar_bytes


def by_webdataset(path: Path) -> list[dict[str, object]]:
    """Samples as webdataset reads them: key and bytes by lower-case suffix."""
    loaded = webdataset.WebDataset(str(path), shardshuffle=False)
    return [
        {name: value for name, value in sample.items() if name not in ("__url__", "__local_path__")}
        for sample in loaded
    ]


def as_webdataset(sample: Sample) -> dict[str, object]:
    image = {} if sample.image is None else {sample.image_name.removeprefix(sample.key + ".").lower(): sample.image}
    return {"__key__": sample.key, **image, **{name.lower(): data for name, data in sample.sidecar.items()}}


class TestAgainstWebDataset:
    def test_what_shard_writer_writes(self, tmp_path: Path) -> None:
        with webdataset.ShardWriter(str(tmp_path / "%05d.tar"), maxcount=9, verbose=0) as writer:
            for i in range(20):
                suffix = ["jpg", "png", "webp"][i % 3]
                writer.write({"__key__": f"a/b/{i}", suffix: picture(i), "txt": f"{i}", "json": {"i": i}, "cls": i})
        for path in sorted(tmp_path.glob("*.tar")):
            settings = dataset(path)
            found, damage = read(only_shard(path, settings), settings)
            assert damage is None
            assert [as_webdataset(s) for s in found] == by_webdataset(path)
            assert all(s.meta["caption"] == str(s.meta["i"]) for s in found)

    @pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
    @pytest.mark.parametrize("zeros", [0, 512, 3 * 2**20])
    def test_tars_that_were_joined_are_read_to_their_end(
        self, tmp_path: Path, pack: Callable[[bytes], bytes], zeros: int
    ) -> None:
        first, second = (tar_bytes(members_of(4)[start : start + 6]) for start in (0, 6))
        (tmp_path / "0.tar").write_bytes(pack(first + bytes(zeros) + second))
        settings = dataset(tmp_path / "0.tar")
        shard = only_shard(tmp_path / "0.tar", settings)
        found, damage = read(shard, settings)
        assert damage is None
        assert [s.image for s in found] == [picture(number) for number in range(4)]
        assert source_for("webdataset").count(shard, settings, 10**6) == len(found)

    @pytest.mark.parametrize("garbage", [b"garbage", b"x" * 1000, bytes(2000) + b"x"])
    def test_what_is_no_tar_behind_the_end_is_damage(self, tmp_path: Path, garbage: bytes) -> None:
        found, damage = read_tar(tmp_path / "0.tar", tar_bytes(members_of(3)) + garbage)
        assert len(found) == 3
        assert damage is not None
        assert damage.index == 3
        assert "damaged header" in damage.reason

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("a.png", picture(1)),
            ("a.left.jpg", picture(1)),
            ("a.jpg_1", picture(1)),
            ("a.jfif", picture(1)),
            ("a.txt", picture(1)),
            ("a.avif", b"\0\0\0\x1cftypavif"),
            ("a.gif", b"no picture, but named as one"),
        ],
    )
    def test_a_picture_beside_the_judged_one_is_told(self, tmp_path: Path, name: str, body: bytes) -> None:
        members = [("a.jpg", picture(0)), (name, body), ("b.jpg", picture(2)), ("b.txt", b"a caption")]
        (tmp_path / "0.tar").write_bytes(tar_bytes(members))
        settings = dataset(tmp_path / "0.tar", image="jpg")
        first, second = read(only_shard(tmp_path / "0.tar", settings), settings)[0]
        assert first.image == picture(0)
        assert first.unjudged == f"1 more in the sample not judged: {name.partition('.')[2]}"
        assert second.unjudged is None

    @pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_names_and_order(self, tmp_path: Path, kind: int) -> None:
        names = [
            "a.jpg", "a.txt", "b.txt", "b.JPG", "a.png", "dir.v1/c.d.jpg", "dir.v1/c.txt", "./e.gif", "../../up.jpg",
            "/abs/f.tif", "no_suffix", "__meta__/x.jpg", "__x__", "d/.hidden.jpg", ".hidden.jpg", "g.",
            "ü" * 90 + "/h.bmp", "x.y/.z.jpg", "last.tiff",
        ]  # fmt: skip
        found, damage = read_tar(tmp_path / "a.tar", tar_bytes([(name, name.encode()) for name in names], kind))
        assert damage is None
        assert [as_webdataset(s) for s in found] == by_webdataset(tmp_path / "a.tar")

    def test_folders_and_links_are_passed_over(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            for name, kind in [
                ("d", tarfile.DIRTYPE),
                ("d/a.jpg", tarfile.REGTYPE),
                ("d/b.jpg", tarfile.SYMTYPE),
                ("d/a.txt", tarfile.LNKTYPE),
            ]:
                header = tarfile.TarInfo(name)
                header.type, header.linkname = kind, "d/a.jpg" if kind != tarfile.DIRTYPE else ""
                archive.addfile(header, io.BytesIO())
        settings = dataset(tmp_path / "a.tar")
        found, _ = read(only_shard(tmp_path / "a.tar", settings), settings)
        assert by_webdataset(tmp_path / "a.tar") == [{"__key__": "d/a", "jpg": b""}]
        # A hard link is a file, with the bytes of the one that it names.
        assert [as_webdataset(s) for s in found] == [{"__key__": "d/a", "jpg": b"", "txt": b""}]


class TestSamples:
    def test_no_member_no_sample(self, tmp_path: Path) -> None:
        assert read_tar(tmp_path / "a.tar", tar_bytes([])) == ([], None)

    def test_without_an_image(self, tmp_path: Path) -> None:
        (sample,), _ = read_tar(tmp_path / "a.tar", tar_bytes([("a.txt", b"x"), ("a.npy", b"\x00")]))
        assert sample.image is None
        assert sample.failure is None
        assert sample.sidecar == {"txt": b"x", "npy": b"\x00"}

    def test_a_name_that_comes_twice_starts_a_new_sample(self, tmp_path: Path) -> None:
        members = [("a.jpg", b"1"), ("a.txt", b"x"), ("a.jpg", b"2"), ("a.JPG", b"3")]
        found, _ = read_tar(tmp_path / "a.tar", tar_bytes(members))
        assert [(s.key, s.index, s.image, dict(s.sidecar)) for s in found] == [
            ("a", 0, b"1", {"txt": b"x"}),
            ("a", 1, b"2", {}),
            ("a", 2, b"3", {}),
        ]

    @pytest.mark.parametrize("names", [("a.jpg", "a.png"), ("a.jpg", "a.seg.PNG"), ("a.json", "a.gif", "a.x.tiff")])
    def test_each_picture_is_judged_unless_one_is_named(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        data = tar_bytes([(name, name.encode()) for name in names])
        pictures, _ = read_tar(tmp_path / "a.tar", data)
        images = [name for name in names if not name.endswith("json")]
        assert [(s.key, s.index, s.picture, s.image) for s in pictures] == [
            ("a", 0, n, name.encode()) for n, name in enumerate(images)
        ]
        assert [s.part for s in pictures] == [name.partition(".")[2] for name in images]
        assert [len(s.sidecar) for s in pictures] == [len(names) - 1, *[0] * (len(images) - 1)]
        wanted = names[-1].partition(".")[2]
        (sample,), _ = read_tar(tmp_path / "a.tar", data, image=wanted)
        assert sample.image == names[-1].encode()
        assert len(sample.sidecar) == len(names) - 1
        assert sample.image_at == len(names) - 1

    def test_the_named_image_is_missing(self, tmp_path: Path) -> None:
        (sample,), _ = read_tar(tmp_path / "a.tar", tar_bytes([("a.png", b"1")]), image="jpg")
        assert sample.image is None
        assert sample.sidecar == {"png": b"1"}

    def test_names_that_are_not_utf8(self, tmp_path: Path) -> None:
        raw = b"caf\xe9/\xff.jpg"
        data = tar_bytes([(raw.decode("utf-8", "surrogateescape"), b"1")], tarfile.GNU_FORMAT)
        (sample,), _ = read_tar(tmp_path / "a.tar", data)
        assert sample.key == "caf\\xe9/\\xff"
        assert to_bytes(sample.image_name) == raw

    def test_only_what_is_judged_may_be_too_large(self, tmp_path: Path) -> None:
        big = random.Random(0).randbytes(3 * 2**20)
        members = [("a.npy", big), ("a.jpg", big), ("b.jpg", b"1")]
        found, _ = read_tar(tmp_path / "a.tar", tar_bytes(members), max_bytes=2**20)
        assert found[0].sidecar == {"npy": big}
        assert found[0].failure is not None
        assert found[0].failure.status is Status.TOO_MANY_BYTES
        assert found[0].sha256 == hashlib.sha256(big).hexdigest()
        assert found[1].image == b"1"


class TestDamage:
    MEMBERS = members_of(12)

    def offsets(self) -> list[tuple[int, int]]:
        """Where the content of each member starts and ends in the tar."""
        with tarfile.open(fileobj=io.BytesIO(tar_bytes(self.MEMBERS))) as archive:
            return [(header.offset_data, header.offset_data + header.size) for header in archive]

    def readable(self, cut: int) -> int:
        """Samples whose image is whole in the first `cut` bytes."""
        return sum(stop <= cut for _, stop in self.offsets()[::3])

    @pytest.mark.parametrize(
        "where",
        ["in an image", "at its last byte", "after it", "in a caption", "in a header", "at a header", "at the end"],
    )
    def test_cut_off(self, tmp_path: Path, where: str) -> None:
        image, caption = self.offsets()[15], self.offsets()[17]
        data = tar_bytes(self.MEMBERS)
        cut = {
            "in an image": image[0] + 100,
            "at its last byte": image[1] - 1,
            "after it": image[1],
            "in a caption": caption[0] + 3,
            "in a header": image[0] - 100,
            "at a header": image[0] - 512,
            "at the end": self.offsets()[-1][0] + 512,
        }[where]
        found, damage = read_tar(tmp_path / "a.tar", data[:cut])
        assert damage is not None
        assert damage.index == len(found) == self.readable(cut)
        assert [s.image for s in found] == [body for _, body in self.MEMBERS[::3]][: len(found)]

    def test_without_its_image_the_last_sample_does_not_count(self, tmp_path: Path) -> None:
        data = tar_bytes([("a.jpg", b"1"), ("b.json", b"{}"), ("b.png", b"2" * 2000)])
        found, damage = read_tar(tmp_path / "a.tar", data[: 4 * 512 + 1000])
        assert [s.key for s in found] == ["a"]
        assert damage is not None

    def test_a_damaged_header_is_not_the_end(self, tmp_path: Path) -> None:
        data = bytearray(tar_bytes(self.MEMBERS))
        start = self.offsets()[15][0] - 512
        data[start : start + 50] = b"\xaa" * 50
        found, damage = read_tar(tmp_path / "a.tar", bytes(data))
        assert len(found) == 5
        assert damage is not None
        assert "header" in damage.reason

    @pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
    def test_compressed_and_cut_off(self, tmp_path: Path, pack) -> None:
        data = pack(tar_bytes(self.MEMBERS))
        found, damage = read_tar(tmp_path / "a.tar.x", data[: len(data) // 2])
        assert damage is not None
        assert len(found) < 12
        assert [s.image for s in found] == [body for _, body in self.MEMBERS[::3]][: len(found)]

    def test_gzip_checksum(self, tmp_path: Path) -> None:
        data = bytearray(gzip.compress(tar_bytes(self.MEMBERS)))
        data[-8] ^= 0xFF
        found, damage = read_tar(tmp_path / "a.tar.gz", bytes(data))
        assert len(found) == 12
        assert damage is not None
        assert "CRC" in damage.reason

    @pytest.mark.parametrize("data", [b"", b"x", b"not a tar " * 200, b"\x1f\x8b", b"\x28\xb5\x2f\xfd\x00"])
    def test_no_tar_at_all(self, tmp_path: Path, data: bytes) -> None:
        found, damage = read_tar(tmp_path / "a.tar", data)
        assert found == []
        assert damage is not None
        assert damage.index == 0

    @pytest.mark.parametrize("size", [2**62, 2**70, -512])
    def test_a_header_that_lies_about_its_size(self, tmp_path: Path, size: int) -> None:
        header = tarfile.TarInfo("a.jpg")
        header.size = size
        data = header.tobuf(tarfile.GNU_FORMAT) + b"1" * 512
        found, damage = read_tar(tmp_path / "a.tar", data)
        assert found == []
        assert damage is not None

    def test_gone(self, tmp_path: Path) -> None:
        settings = dataset(tmp_path / "a.tar")
        (tmp_path / "a.tar").write_bytes(tar_bytes(self.MEMBERS))
        shard = only_shard(tmp_path / "a.tar", settings)
        (tmp_path / "a.tar").unlink()
        with pytest.raises(ShardUnreadable, match="FileNotFoundError"):
            read(shard, settings)


@given(st.data())
def test_any_bytes_end_in_samples_or_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Flipped, cut, doubled and compressed tars: nothing but the named errors, and count agrees with what is read."""
    path = tmp_path_factory.getbasetemp() / "fuzz.tar"
    path.write_bytes(data.draw(mutated_tars()))
    settings = dataset(path, image="jpg")
    shard = only_shard(path, settings)
    found, damage = read(shard, settings)
    assert [s.index for s in found] == list(range(len(found)))
    assert damage is None or damage.index == len(found)
    assert all(s.key.encode() and s.image_name.encode() is not None for s in found)
    assert source_for("webdataset").count(shard, settings, 1000) == len(found)


@st.composite
def mutated_tars(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]))
    long = ["ü" * 60 + ".jpg"] if kind != tarfile.USTAR_FORMAT else []
    names = draw(st.lists(st.sampled_from(["a.jpg", "b.jpg", "b.json", "c/d.txt", *long]), max_size=5))
    data = bytearray(tar_bytes([(name, name.encode() * 40) for name in names], kind))
    for _ in range(draw(st.integers(0, 6))):
        position = draw(st.integers(0, len(data) - 1))
        data[position : position + draw(st.integers(0, 3))] = draw(st.binary(min_size=0, max_size=12))
    for start in range(0, len(data) - 512, 512) if draw(st.booleans()) else ():
        _mend_checksum(data, start)
    packed = draw(st.sampled_from([bytes, gzip.compress, zstandard.compress]))(bytes(data))
    return packed[: draw(st.integers(len(packed) // 2, len(packed)))] if draw(st.booleans()) else packed


def _mend_checksum(data: bytearray, start: int) -> None:
    """Make a mutated header pass, so that what it says is believed."""
    block = data[start : start + 512]
    if block[257:262] == b"ustar":
        data[start + 148 : start + 156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
