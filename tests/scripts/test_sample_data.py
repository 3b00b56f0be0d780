"""The shipped sample is what docs/sample-data.md promises, read by webdataset and pyarrow, not by our own sources."""

import csv
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset
from omegaconf import OmegaConf
from PIL import Image

from curate.images.decoding import ImageRefused, decode
from curate.settings.dataset import DatasetSettings

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "curate" / "data" / "laion_subset"
TARS = sorted(DATA.glob("*.tar"))
IMAGES = DATA / "images-00004.parquet"
LICENSES = {"Public domain", "CC-BY-SA-4.0", "CC-BY-3.0", "MIT"}
REFUSED = {
    "truncated_jpeg": "undecodable",
    "zero_bytes": "undecodable",
    "text_named_jpg": "unsupported_format",
    "huge_png": "too_many_pixels",
}


@pytest.fixture(scope="module")
def manifest():
    with (ROOT / "scripts/sample/manifest.csv").open(encoding="utf-8", newline="") as file:
        return {f"{n // 60:05d}{n % 60:04d}": row for n, row in enumerate(csv.DictReader(file))}


@pytest.fixture(scope="module")
def samples():
    """Key to (extension, bytes or None, metadata), in the order of the shards."""
    found = {}
    for tar in TARS:
        for sample in webdataset.WebDataset(str(tar), shardshuffle=False):
            meta = json.loads(sample["json"])
            assert sample["txt"].decode() == meta["caption"]
            images = [e for e in sample if e in ("jpg", "png", "webp", "gif")]
            assert len(images) <= 1
            found[sample["__key__"]] = (images[0], sample[images[0]], meta) if images else ("", None, meta)
    for row in pq.read_table(IMAGES).to_pylist():
        image = row.pop("image")
        found[row["key"]] = (image["path"].split(".")[1], image["bytes"], row) if image else ("", None, row)
    return found


@pytest.fixture(scope="module")
def faults(manifest):
    return {key: row["fault"] for key, row in manifest.items() if row["fault"]}


def key_of(faults, fault):
    return next(key for key, name in faults.items() if name == fault)


def image_of(samples, faults, fault):
    return Image.open(io.BytesIO(samples[key_of(faults, fault)][1]))


def test_files_are_those_of_the_build():
    sums = dict(line.split("  ")[::-1] for line in (DATA / "SHA256SUMS").read_text().splitlines())
    assert {p.name for p in DATA.iterdir()} == {*sums, "SHA256SUMS", "LICENSES.txt"}
    for name, digest in sums.items():
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest, name
    assert sum(p.stat().st_size for p in DATA.iterdir()) <= 12 * 2**20


def test_counts_and_keys(samples, manifest, faults):
    assert len(TARS) == 4
    assert list(samples) == list(manifest)
    assert len(samples) == 300
    assert len(samples) - len(faults) == 288


@pytest.mark.slow
def test_ordinary_pictures_decode_to_what_the_manifest_says(samples, manifest, faults):
    for key, (extension, image, meta) in samples.items():
        if key in faults:
            continue
        with Image.open(io.BytesIO(image)) as picture:
            picture.load()
            size, kind = picture.size, picture.format
        row = manifest[key]
        assert (extension, *size) == (row["format"], int(row["width"]), int(row["height"])), key
        assert kind == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[extension]
        assert (meta["width"], meta["height"], meta["object"]) == (*size, row["object"])


def test_metadata_is_complete_and_true(samples):
    columns = set(pq.read_schema(IMAGES).names) - {"image"}
    assert columns >= {"url", "caption", "punsafe", "pwatermark", "similarity", "hash", "width", "height", "exif"}
    for key, (_, image, meta) in samples.items():
        assert set(meta) == columns
        assert meta["key"] == key
        assert meta["sha256"] == (None if image is None else hashlib.sha256(image).hexdigest())


def test_the_label_of_the_reviewer_stays_out_of_the_data(samples):
    assert not any("touches" in meta or "fault" in meta for _, _, meta in samples.values())


@pytest.mark.parametrize("tar", TARS, ids=lambda p: p.name)
def test_tables_beside_the_tars_agree_with_them(tar, samples):
    rows = pq.read_table(tar.with_suffix(".parquet")).to_pylist()
    assert rows == [meta for key, (_, _, meta) in samples.items() if key.startswith(tar.stem)]
    stats = json.loads(tar.with_name(f"{tar.stem}_stats.json").read_text())
    assert stats["count"] == stats["successes"] == len(rows)


@pytest.mark.parametrize("tar", TARS, ids=lambda p: p.name)
def test_tar_headers_carry_nothing_of_the_machine(tar):
    with tarfile.open(tar) as file:
        members = file.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o444)}
    assert [m.name for m in members] == sorted(m.name for m in members)


def test_every_picture_is_attributed_under_an_allowed_licence(samples, faults):
    with (DATA / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(samples)
    own = key_of(faults, "huge_png")
    for key, (_, _, meta) in samples.items():
        row = rows[key]
        assert row["author"]
        assert (row["author"], row["license"], row["source"]) == (meta["author"], meta["license"], meta["source"])
        assert row["license"] in (LICENSES if key != own else {"Apache-2.0"})


def test_authors_of_icons_are_named_in_the_licence_text(manifest):
    text = (DATA / "LICENSES.txt").read_text(encoding="utf-8")
    for row in manifest.values():
        assert row["source"] != "game-icons" or row["author"] in text


def test_odd_samples_are_those_of_the_table(faults):
    table = re.findall(
        r"^\| (\d{9}) \| (\w+) \|", (ROOT / "docs/sample-data.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert dict(table) == faults
    assert len(table) == 12


@pytest.mark.parametrize("fault", REFUSED)
def test_broken_samples_are_refused(fault, samples, faults):
    extension, image, _ = samples[key_of(faults, fault)]
    assert extension == ("png" if fault == "huge_png" else "jpg")
    with pytest.raises(ImageRefused) as refused:
        decode(image, max_bytes=64 * 2**20, max_pixels=100_000_000)
    assert refused.value.failure.status == REFUSED[fault]


@pytest.mark.slow
def test_all_others_are_judged(samples, faults):
    for key, (_, image, _) in samples.items():
        if faults.get(key) not in {*REFUSED, "no_image"}:
            assert decode(image, max_bytes=64 * 2**20, max_pixels=100_000_000).width > 0


def test_samples_without_image(samples, faults):
    missing = [key for key, name in faults.items() if name == "no_image"]
    assert [key for key, (_, image, _) in samples.items() if image is None] == missing
    assert len(missing) == 2


def test_duplicate_has_the_bytes_of_another_sample(samples, faults):
    key = key_of(faults, "duplicate")
    assert [k for k, (_, image, _) in samples.items() if image == samples[key][1]] == ["000010003", key]


def test_odd_pictures_are_what_they_are_called(samples, faults):
    assert image_of(samples, faults, "animated_gif").n_frames == 3
    assert image_of(samples, faults, "cmyk_jpeg").mode == "CMYK"
    assert image_of(samples, faults, "png_16_bit").mode == "I;16"
    transparent = image_of(samples, faults, "png_transparent")
    assert transparent.mode == "RGBA"
    assert transparent.getchannel("A").getextrema() == (0, 255)
    rotated = image_of(samples, faults, "exif_rotated")
    assert rotated.getexif()[0x0112] == 6
    assert rotated.height > rotated.width  # lying on its side: upright it is wide
    huge = samples[key_of(faults, "huge_png")]
    assert (huge[2]["width"], huge[2]["height"]) == (20_000, 20_000)
    assert len(huge[1]) < 100_000


def test_dataset_file_names_exactly_the_five_shards():
    OmegaConf.register_new_resolver("packaged", lambda path: str(ROOT / "curate" / path), replace=True)
    fields = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/dataset/laion_subset.yaml"), resolve=True)
    settings = DatasetSettings(**fields)
    assert [Path(s) for s in settings.shards] == [*TARS, IMAGES]
    assert {settings.key, settings.caption, settings.url, settings.label} <= set(pq.read_schema(IMAGES).names)
