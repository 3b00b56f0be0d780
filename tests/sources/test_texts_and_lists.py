"""Pictures in texts, in lists, in zips and in Arrow files; and what is not read, named for what it is."""

from __future__ import annotations

import base64
import json
import lzma
import os
import zipfile
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.cli.program import main
from curate.core.errors import InputError, ShardUnreadable
from curate.core.types import Status
from curate.runs.plan import make_plan
from curate.sources.passed_over import PassedOverLedger
from curate.sources.patterns import expand
from curate.sources.registry import detect_format, source_for
from curate.sources.text_images import image_of, is_encoded
from tests.support.jobs import rows
from tests.support.source_cases import dataset, members_of, only_shard, picture, read, tar_bytes, write_parquet

FAKE = ["engine=fake", "engine.workers=0"]
ENCODED = base64.b64encode(picture(1)).decode()


def first(path: Path, **settings: object) -> list:
    chosen = dataset(path, **settings)
    (shard,) = make_plan(chosen).shards
    return read(shard, chosen)[0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("form", ["{}", "data:image/x;base64,{}", "DATA:image/png;charset=x;base64,{}", "\n {}\n"])
def test_base64_of_every_format(kind, form):
    data = picture(2, kind)
    text = form.format(base64.b64encode(data).decode()).encode()
    assert is_encoded(text)
    assert image_of(text, None).image == data
    wrapped = form.format(base64.encodebytes(data).decode()).encode()
    assert image_of(wrapped, None).image == data
    urlsafe = form.format(base64.urlsafe_b64encode(data).decode()).encode()
    assert image_of(urlsafe, None).image == data


@pytest.mark.parametrize(
    "text",
    [ENCODED[:-1], ENCODED[:100] + "!" + ENCODED[101:], "data:image/png,%89PNG", ENCODED + "====", ENCODED[:101]],
)
def test_what_only_begins_as_base64_is_undecodable(text):
    found = image_of(text.encode(), None)
    assert found.image is None
    assert found.failure.status == Status.UNDECODABLE


@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_picture_or_ends_the_reading(text):
    assert not is_encoded(text.encode("utf-8", "surrogatepass"))
    assert image_of(text.encode("utf-8", "surrogatepass"), None).image is None or len(text) >= 256


def test_texts_beside_others_are_found_by_what_they_hold(tmp_path):
    images = [picture(n) for n in range(3)]
    texts = [base64.b64encode(image).decode() for image in images]
    table = pa.table({"id": ["a" * 64, "b" * 64, "c" * 64], "blob": texts, "n": [1, 2, 3]})
    found = first(write_parquet(tmp_path / "a.parquet", table))
    assert [s.image for s in found] == images
    assert found[0].meta["blob"] == f"<{len(texts[0])} characters>"
    nested = pa.table({"turns": [[{"role": "user", "content": texts[0]}, {"role": "x", "content": "hi"}]]})
    assert [s.part for s in first(write_parquet(tmp_path / "b.parquet", nested), image="turns")][:1] == [
        "turns[0].content"
    ]
    both = pa.table({"image": pa.array([picture(9)], pa.binary()), "thumb": pa.array([texts[0]]).dictionary_encode()})
    assert [s.image for s in first(write_parquet(tmp_path / "c.parquet", both))] == [picture(9), images[0]]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_type_of_text(tmp_path, kind):
    (tmp_path / "x.jpg").write_bytes(picture(3))
    column = pa.array([ENCODED, "x.jpg", None, ""]).cast(kind)
    path = tmp_path / "a.arrow"
    table = pa.table({"image": column})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found = first(path)
    assert [s.image for s in found] == [picture(1), picture(3), None, None]
    assert [s.image_name for s in found] == ["", "x.jpg", "", ""]


def test_paths_read_what_is_below_the_folder_and_a_picture_and_nothing_else(tmp_path):
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / ".hidden").mkdir()
    for place in ("in.jpg", "sub/in.png", ".hidden/x.jpg", "../out.jpg", "name"):
        (home / place).write_bytes(picture(4))
    (home / "secret.txt").write_text("TOPSECRET")
    (home / "link.jpg").symlink_to("../out.jpg")
    (home / "sub/up").symlink_to("..")
    os.mkfifo(home / "pipe.jpg")
    good = ["in.jpg", "./sub/in.png", f"{home}/in.jpg", "name", "sub/up/in.jpg", "sub//in.png"]
    bad = ["../out.jpg", "sub/../../out.jpg", f"{tmp_path}/out.jpg", ".hidden/x.jpg", "secret.txt", "link.jpg"]
    bad += ["pipe.jpg", "sub", "gone.jpg", f"file://{home}/in.jpg", "http://127.0.0.1:9/x.jpg", "zip://x.jpg::in.zip"]
    bad += ["in.jpg\0", "/etc/passwd", "in.jpg/x", "~/in.jpg", "a" * 300 + ".jpg"]
    table = pa.table({"image": good + bad})
    found = first(write_parquet(home / "a.parquet", table))
    assert [s.image is not None for s in found] == [True] * len(good) + [False] * len(bad)
    assert {s.failure.status for s in found[len(good) :]} == {Status.MISSING_IMAGE}
    assert all("TOPSECRET" not in s.failure.detail for s in found[len(good) :])
    images = [{"bytes": None, "path": path} for path in good + bad]
    structs = write_parquet(home / "b.parquet", pa.table({"image": images}))
    assert [s.image is not None for s in first(structs)] == [True] * len(good) + [False] * len(bad)
    lines = "".join(json.dumps({"image": path}) + "\n" for path in good + bad)
    (home / "c.jsonl").write_text(lines)
    assert [s.image is not None for s in first(home / "c.jsonl")] == [True] * len(good) + [False] * len(bad)
    own = first(structs, outside_links=True)
    assert own[len(good) + bad.index("link.jpg")].image == picture(4)


def test_images_too_large_to_hold_are_digested(tmp_path):
    (tmp_path / "x.jpg").write_bytes(picture(5))
    (tmp_path / "a.csv").write_text("image\nx.jpg\n")
    (found,) = first(tmp_path / "a.csv", max_bytes=100)
    assert (found.image, found.failure.status) == (None, Status.TOO_MANY_BYTES)
    assert found.sha256 is not None


def test_odd_lines_cost_themselves(tmp_path):
    (tmp_path / "x.jpg").write_bytes(picture(5))
    lines = [
        '{"image": "x.jpg"}',
        "{",
        "[1]",
        '{"image": ["x.jpg", "x.jpg"]}',
        '{"other": 1}',
        "[" * 100_000,
        "é\udce9",
    ]
    lines += ['{"image": {"bytes": null, "path": "x.jpg"}, "key": "k"}', '{"image": 5}']
    (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    found = first(tmp_path / "a.jsonl")
    assert [s.index for s in found] == [0, 1, 2, 3, 3, 4, 5, 6, 7, 8]
    assert [s.image is not None for s in found] == [True, False, False, True, True, False, False, False, True, False]
    assert [s.part for s in found[3:5]] == ["image[0]", "image[1]"]
    assert found[8].key == "k"
    assert found[0].meta == {"image": "x.jpg"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("file_name;title\nx.jpg;a\n", "a.csv"),
        ('\ufefffile_name,title\r\nx.jpg,"a\nb"\r\n', "a.csv"),
        ("title\tfile_name\na\tx.jpg\n", "a.tsv"),
    ],
)
def test_tables_as_people_write_them(tmp_path, text, name):
    (tmp_path / "x.jpg").write_bytes(picture(5))
    (tmp_path / name).write_text(text)
    assert [s.image for s in first(tmp_path / name)] == [picture(5)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "url,title\nhttps://a.test/1.jpg,t\n", "column 'url' holds addresses, which are never opened"),
        ("a.jsonl", '{"where": "a/b.jpg"}\n', "column 'where' holds paths: dataset.image=where"),
        ("a.jsonl", '{"n": 1}\n', "no image column among n; dataset.image=COLUMN"),
    ],
)
def test_a_list_without_pictures_says_what_to_do(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        make_plan(dataset(tmp_path / name))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_zips_pass_over_what_cannot_be_read_and_say_so(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dir/", "")
        archive.writestr("a.jpg", picture(1))
        archive.writestr("a.txt", "caption")
        archive.writestr("plain", picture(2))
        archive.writestr("__MACOSX/._a.jpg", b"x")
        archive.writestr("dir/.DS_Store", b"x")
        archive.writestr("b.jpg", picture(3), compress_type=zipfile.ZIP_LZMA)
        link = zipfile.ZipInfo("l.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", b"PK")
    chosen = dataset(path)
    (shard,) = make_plan(chosen).shards
    ledger = PassedOverLedger()
    found = list(source_for("zip").samples(shard, chosen, ledger.add))
    assert [(s.key, s.image) for s in found] == [("a", picture(1)), ("plain", picture(2)), ("inner", None)]
    assert found[0].meta == {"caption": "caption"}
    counted = {reason: one.count for reason, one in ledger.found.items()}
    assert counted == {
        "symbolic links": 1,
        "files of a compression that is not read": 1,
        "files of macOS beside the others": 1,
        "hidden files": 1,
    }


def test_an_encrypted_member_is_passed_over(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", picture(1))
        archive.writestr("b.jpg", picture(2))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the local header, and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    chosen = dataset(path)
    ledger = PassedOverLedger()
    found = list(source_for("zip").samples(only_shard(path, chosen, "zip"), chosen, ledger.add))
    assert [s.key for s in found] == ["b"]
    assert ledger.found["encrypted files"].first == "a.jpg"


def test_bombs_are_damage_and_large_members_are_not_held(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(50_000_000))
        archive.writestr("b.jpg", picture(1))
    chosen = dataset(path, max_bytes=10_000)
    found, damage = read(only_shard(path, chosen, "zip"), chosen)
    assert damage is None
    assert [s.failure.status if s.failure else None for s in found] == [Status.TOO_MANY_BYTES, None]
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    data = path.read_bytes()
    entry = data[start : data.index(b"PK\x01\x02", start + 4)]
    # The same member a thousand times in the directory.
    directory = entry * 1000
    end = b"PK\x05\x06" + bytes(4) + (1000).to_bytes(2, "little") * 2
    end += len(directory).to_bytes(4, "little") + start.to_bytes(4, "little") + bytes(2)
    path.write_bytes(data[:start] + directory + end)
    found, damage = read(only_shard(path, chosen, "zip"), chosen)
    assert found == []
    assert "overlap" in damage.reason


@pytest.mark.parametrize("cut", [0, 10, 300, -10])
def test_no_zip_at_all_is_damage(tmp_path, cut):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members_of(3):
            archive.writestr(name, data)
    path.write_bytes(path.read_bytes()[:cut])
    chosen = dataset(path)
    found, damage = read(only_shard(path, chosen, "zip"), chosen)
    assert found == []
    assert damage.index == 0


def test_a_damaged_member_costs_itself(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for n in range(3):
            archive.writestr(f"{n}.jpg", picture(n))
    data = bytearray(path.read_bytes())
    place = data.index(picture(1)) + 300
    data[place] ^= 0xFF
    path.write_bytes(data)
    chosen = dataset(path)
    found, damage = read(only_shard(path, chosen, "zip"), chosen)
    assert damage is None
    assert [s.key for s in found] == ["0", "1", "2"]
    assert found[2].image == picture(2)


def test_arrow_files_that_point_outside_of_themselves_are_damage(tmp_path):
    table = pa.table({"image": pa.array([picture(n) for n in range(20)], pa.binary())})
    path = tmp_path / "a.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = bytearray(path.read_bytes())
    second = len(picture(0)).to_bytes(4, "little")
    place = data.index(bytes(4) + second) + 4
    data[place : place + 4] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(data)
    chosen = dataset(path)
    found, damage = read(only_shard(path, chosen, "arrow"), chosen)
    assert found == []
    assert damage is not None


@pytest.fixture
def odd(tmp_path):
    """Files that are called tars and are none, and what nobody reads."""
    tar = tar_bytes(members_of(2))
    (tmp_path / "x.tar.xz").write_bytes(lzma.compress(tar))
    (tmp_path / "xz.tar").write_bytes(lzma.compress(tar))
    with zipfile.ZipFile(tmp_path / "zip.tar", "w") as archive:
        archive.writestr("a.jpg", picture(1))
    (tmp_path / "cpio.tar").write_bytes(b"070701" + b"0" * 104 + b"a.jpg\0")
    (tmp_path / "x.tfrecord").write_bytes(b"1")
    (tmp_path / "page.tar").write_bytes(b"<!DOCTYPE html><html>")
    (tmp_path / "b::c.tar").write_bytes(tar)
    (tmp_path / "070701.tar").write_bytes(tar_bytes([("070701.jpg", picture(1))]))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [("x.tar.xz", "xz -dc FILE"), ("x.tfrecord", "TFRecord"), ("x.tar.bz2", "bzip2 -dc"), ("x.json", "jq -c")],
)
def test_what_is_not_read_is_named_by_its_name(odd, name, said):
    with pytest.raises(InputError, match="which is") as error:
        detect_format(str(odd / name))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [("xz.tar", "xz -dc"), ("zip.tar", "dataset.format=zip"), ("cpio.tar", "cpio -id"), ("page.tar", "a web page")],
)
def test_what_is_called_a_tar_is_named_by_its_first_bytes(odd, name, said):
    chosen = dataset(odd / name)
    with pytest.raises(ShardUnreadable) as error:
        read(only_shard(odd / name, chosen), chosen)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_names_that_only_look_odd_are_read(odd):
    assert [s.key for s in first(odd / "b::c.tar")] == ["000000", "000001"]
    assert [s.key for s in first(odd / "070701.tar")] == ["070701"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("pipe:aws s3 cp s3://b/{000..010}.tar -", "give the files themselves, as in s3://b/{000..010}.tar"),
        ("pipe:cat x.tar", "as in x.tar"),
        ("pipe:whatever", "as in s3://..."),
    ],
)
def test_commands_are_not_run(pattern, said):
    with pytest.raises(InputError) as error:
        expand([pattern])
    assert said in str(error.value)


@pytest.mark.slow
def test_a_saved_data_set_is_read_as_it_lies(tmp_path):
    images = [{"bytes": picture(n), "path": None} for n in range(6)]
    saved = datasets.Dataset.from_dict({"image": images}).cast_column("image", datasets.Image())
    saved.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict({"train": saved, "test": saved}).save_to_disk(tmp_path / "all")
    (tmp_path / "one/cache-1234.arrow").write_bytes(b"a copy that `map` left")
    for folder, count in (("one", 6), ("all", 12)):
        place = [f"dataset.shards={tmp_path}/{folder}", f"output.dir={tmp_path}/run-{folder}"]
        assert main(["run", "+dataset=webdataset", "dataset.format=auto", *place, *FAKE]) == 0
        assert len(rows(tmp_path / f"run-{folder}")) == count
        assert main(["verify", f"output.dir={tmp_path}/run-{folder}"]) == 0
    with pytest.raises(InputError, match=r"files of the format arrow: set dataset\.format=auto"):
        expand([str(tmp_path / "one")], format="parquet")


def test_what_lies_beside_images_stays_beside_them(tmp_path):
    (tmp_path / "x.jpg").write_bytes(picture(1))
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "x.jpg", "text": "a thing"}\n')
    chosen = dataset(tmp_path)
    (shard,) = make_plan(chosen).shards
    assert shard.format == "folder"
    ledger = PassedOverLedger()
    list(source_for("folder").samples(shard, chosen, ledger.add))
    assert {reason: one.first for reason, one in ledger.found.items()} == {
        "lists of the pictures beside them": "metadata.jsonl"
    }
    (found,) = first(tmp_path / "metadata.jsonl")
    assert (found.image, found.meta["text"]) == (picture(1), "a thing")


@pytest.mark.slow
@pytest.mark.parametrize("write", ["parquet", "webdataset"])
def test_runs_over_each_keep_every_law(tmp_path, write):
    for n in range(4):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / "a.csv").write_text("file_name,title\n" + "".join(f"{n}.jpg,t\n" for n in range(5)))
    texts = [base64.b64encode(picture(n)).decode() for n in range(4)]
    write_parquet(tmp_path / "b.parquet", pa.table({"image": [*texts, ENCODED[:-1]]}))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for name, data in members_of(4):
            archive.writestr(name, data)
    for name, failed in (("a.csv", 1), ("b.parquet", 1), ("c.zip", 0)):
        place = [f"dataset.shards={tmp_path}/{name}", f"output.dir={tmp_path}/run-{name}", f"filter.write={write}"]
        assert main(["run", "+dataset=webdataset", "dataset.format=auto", *place, *FAKE]) == 0
        assert main(["verify", f"output.dir={tmp_path}/run-{name}"]) == 0
        assert [row["status"] for row in rows(tmp_path / f"run-{name}")].count("labelled") == 4
        assert len(rows(tmp_path / f"run-{name}")) == 4 + failed
