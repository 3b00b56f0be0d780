"""Samples of several pictures, and pictures of several frames: each is judged, and the strictest decides."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.cli.program import main
from curate.evaluation.predictions import read_predictions
from tests.support.jobs import rows, split_rows
from tests.support.several_pictures import ANIMATED, KINDS, picture, unjudged_in_clean
from tests.support.source_cases import tar_bytes

pytestmark = pytest.mark.slow

SUFFIXES = ("jpg", "png", "left.png", "right.PNG", "jfif", "avif", "dat", "1.jpg", "2.jpg", "txt", "json", "jpg?w=5")
BODIES = st.one_of(
    st.builds(picture, st.integers(0, 30), st.sampled_from(KINDS)),
    st.builds(picture, st.integers(0, 30), st.sampled_from(ANIMATED), st.integers(2, 5)),
    st.sampled_from([b"", b"text", b"\x89PNG\r\n\x1a\n broken", b"\xff\xd8\xff\xe0 cut"]),
)
TARS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c/d", "e"]), st.sampled_from([*SUFFIXES, ""]), BODIES), max_size=14
)


def run(folder: Path, *arguments: str, code: int = 0) -> Path:
    """A run over the data in `folder`, its rules as simple as can be."""
    out = folder / "run"
    given_ = ["engine=fake", "engine.workers=0", "filter.splits.clean=true", f"output.dir={out}", *arguments]
    assert main(["run", *given_]) == code
    return out


def over_tar(folder: Path, members: list[tuple[str, bytes]], *arguments: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0.tar").write_bytes(tar_bytes(members))
    return run(folder, "+dataset=laion_subset", f"dataset.shards={folder}/0.tar", *arguments)


def over_table(folder: Path, table: pa.Table, *arguments: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "0.parquet")
    return run(folder, "+dataset=parquet", f"dataset.shards={folder}/0.parquet", *arguments)


def verified(out: Path) -> bool:
    """Whether the audit, sources included, finds nothing."""
    return main(["verify", f"output.dir={out}"]) == 0


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=TARS, write=st.sampled_from(["parquet", "webdataset", "index"]), two=st.booleans())
def test_whatever_a_tar_holds_nothing_unjudged_is_clean(tmp_path, members, write, two):
    folder = tmp_path / "data"
    shutil.rmtree(folder, ignore_errors=True)
    named = [(f"{key}.{suffix}" if suffix else key, body) for key, suffix, body in members]
    named = [*{name: (name, body) for name, body in named}.values(), ("z.png", picture(99))]
    policies = "policies=[drawings,kids]" if two else "policies=[drawings]"
    out = over_tar(folder, named, policies, f"filter.write={write}")
    if write == "parquet":
        assert unjudged_in_clean(out) == []
    assert verified(out)


CELLS = st.one_of(
    st.none(), BODIES, st.builds(lambda data: {"bytes": data, "path": "p.jpg"}, BODIES), st.just({"bytes": None})
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_columns_hold_nothing_unjudged_is_clean(tmp_path, data):
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    binary, image = pa.binary(), pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {
        "image": image,
        "binary": binary,
        "large": pa.large_binary(),
        "list": pa.list_(image),
        "nested": pa.list_(pa.struct([("raw", binary), ("n", pa.int32())])),
        "more": pa.struct([("bytes", binary), ("path", pa.string()), ("width", pa.int32())]),
        "dictionary": pa.dictionary(pa.int32(), binary),
    }
    chosen = data.draw(st.lists(st.sampled_from(list(kinds)), min_size=1, max_size=3, unique=True))
    count = data.draw(st.integers(1, 5))
    as_image = st.one_of(st.none(), BODIES.map(lambda body: {"bytes": body, "path": "p"}), st.just({"path": "x"}))
    cells = {
        "image": as_image,
        "binary": st.one_of(st.none(), BODIES),
        "large": st.one_of(st.none(), BODIES),
        "list": st.lists(as_image, max_size=3),
        "nested": st.lists(st.builds(lambda body: {"raw": body, "n": 1}, BODIES), max_size=2),
        "more": st.one_of(st.none(), BODIES.map(lambda body: {"bytes": body, "path": "p", "width": 1})),
        "dictionary": st.one_of(st.none(), BODIES),
    }
    values = {name: data.draw(st.lists(cells[name], min_size=count, max_size=count)) for name in chosen}
    arrays = {
        name: pa.array(column, binary).dictionary_encode() if name == "dictionary" else pa.array(column, kinds[name])
        for name, column in values.items()
    }
    out = over_table(tmp_path / "data", pa.table(arrays))
    assert unjudged_in_clean(out) == []
    assert verified(out)


def test_each_picture_has_a_row_and_the_strictest_decides(tmp_path):
    members = [
        (f"{n}.{side}.png", picture(40 + 2 * n + i)) for n in range(8) for i, side in enumerate(("left", "right"))
    ]
    out = over_tar(tmp_path, members)
    found = rows(out)
    assert [(row["index"], row["image_name"]) for row in found] == [
        (n, f"{side}.png") for n in range(8) for side in ("left", "right")
    ]
    ratings = {n: [row["rating"] for row in found if row["index"] == n] for n in range(8)}
    clean = {row["index"] for row in split_rows(out, "clean")}
    assert clean == {n for n, both in ratings.items() if both == ["Safe", "Safe"]}
    assert 0 < len(clean) < 8
    mixed = next(n for n, both in ratings.items() if sorted(both) == ["Safe", "Unsafe"])
    (decided,) = (row for row in split_rows(out, "unsafe") if row["index"] == mixed)
    assert decided["image_name"] == ("left.png", "right.png")[ratings[mixed].index("Unsafe")]
    assert decided["image"]["bytes"] == picture(40 + 2 * mixed)
    assert [entry["name"] for entry in decided["sidecar"]] == ["right.png"]
    assert verified(out)


def test_a_picture_that_cannot_be_judged_costs_its_sample(tmp_path):
    members = [("a.left.png", picture(1)), ("a.right.png", b"\x89PNG\r\n\x1a\n broken"), ("b.png", picture(2))]
    out = over_tar(tmp_path, members)
    assert [row["key"] for row in split_rows(out, "failed")] == ["a"]
    assert [row["status"] for row in rows(out)] == ["labelled", "undecodable", "labelled"]
    assert verified(out)


@pytest.mark.parametrize("choice", ["left.png", "[left.png,mask.png]"])
def test_what_is_left_out_by_choice_keeps_a_sample_out_of_clean(tmp_path, choice):
    members = [
        (f"{n}.{side}.png", picture(40 + 2 * n + i)) for n in range(4) for i, side in enumerate(("left", "right"))
    ]
    members += [("alone.left.png", picture(11))]
    out = over_tar(tmp_path, members, f"dataset.image={choice}", "filter.thresholds.unsafe=1")
    assert {row["detail"] for row in rows(out)} == {"1 more in the sample not judged: right.png", None}
    assert [row["key"] for row in split_rows(out, "clean")] == ["alone"]
    assert len(split_rows(out, "review")) == 4
    assert verified(out)


@pytest.mark.parametrize("choice", ["all", "null", "[all]"])
def test_all_pictures_is_what_nothing_says(tmp_path, choice):
    members = [("a.left.png", picture(1)), ("a.right.png", picture(2))]
    out = over_tar(tmp_path, members, f"dataset.image={choice}")
    assert len(rows(out)) == 2
    assert main(["run", "+dataset=laion_subset", f"dataset.shards={tmp_path}/0.tar", "engine=fake",
                 "engine.workers=0", "filter.splits.clean=true", f"output.dir={out}"]) == 0  # fmt: skip


@pytest.mark.parametrize("kind", ANIMATED)
@pytest.mark.parametrize(
    ("choice", "expected", "left"),
    [
        (None, [0, 2, 5], 3),
        ("all", [0, 1, 2, 3, 4, 5], 0),
        ("first", [0], 5),
        ("[last,first]", [0, 5], 4),
        ("4", [0, 2, 3, 5], 2),
    ],
)
def test_frames_that_are_asked_for_are_judged(tmp_path, kind, choice, expected, left):
    members = [("a.bin", picture(5, kind, 6)), ("b.bin", picture(7, kind))]
    out = over_tar(tmp_path, members, *([f"dataset.frames={choice}"] if choice else []))
    several, one = rows(out)
    assert sorted(several["frames"]) == expected
    assert several["detail"] == (f"{left} of 6 frames not judged" if left else None)
    assert one["frames"] is None
    assert one["detail"] is None
    if left:
        assert "a" not in [row["key"] for row in split_rows(out, "clean")]
    assert verified(out)


def test_the_strictest_frame_decides(tmp_path):
    """Frame by frame, a file of that frame alone has the verdict that the animation has, if it is the strictest."""
    members = [(f"{n}.gif", picture(n, "GIF", 3)) for n in range(12)]
    found = rows(over_tar(tmp_path / "all", members, "dataset.frames=all"))
    first = rows(over_tar(tmp_path / "first", members, "dataset.frames=first"))
    assert all(row["frames"] == [0] for row in first)
    for one, whole in zip(first, found, strict=True):
        assert sorted(whole["frames"]) == [0, 1, 2]
        assert whole["p_unsafe"] >= one["p_unsafe"] or one["rating"] == "Safe"
        if whole["frames"][0] == 0:
            assert (whole["rating"], whole["p_unsafe"]) == (one["rating"], one["p_unsafe"])
        if one["rating"] == "Unsafe":
            assert whole["rating"] == "Unsafe"
        assert whole["prompt_tokens"] == 3 * one["prompt_tokens"]
    assert {row["frames"][0] for row in found} == {0, 1, 2}


def test_a_category_has_its_highest_score_of_all_frames(tmp_path):
    """What is there in one frame is there: a category's threshold finds it, whichever frame the label is of."""
    members = [(f"{n}.gif", picture(n, "GIF", 3)) for n in range(6)]
    scored = "model.category_scores=true"
    whole = rows(over_tar(tmp_path / "all", members, "dataset.frames=all", scored))
    parts = [rows(over_tar(tmp_path / name, members, f"dataset.frames={name}", scored)) for name in ("first", "last")]
    for row, *ends in zip(whole, *parts, strict=True):
        scores = {one["category"]: one["score"] for one in row["category_scores"]}
        assert max(scores.values()) <= row["p_unsafe"]
        for end in ends:
            assert sum(one["score"] for one in end["category_scores"]) == pytest.approx(end["p_unsafe"], rel=1e-5)
            assert all(scores[one["category"]] >= one["score"] for one in end["category_scores"])
    assert any(sum(one["score"] for one in row["category_scores"]) > 1.01 * row["p_unsafe"] for row in whole)


def test_a_frame_that_is_damaged_makes_the_picture_undecodable(tmp_path):
    whole = picture(3, "PNG", 3)
    last = whole.rindex(b"fdAT")
    broken = whole[: last + 8] + bytes(len(whole) - last - 8)
    (row,) = rows(over_tar(tmp_path, [("a.png", broken)]))
    assert row["status"] == "undecodable"
    assert row["detail"].startswith("frame 2 of 3: ")


@pytest.mark.parametrize("write", ["parquet", "webdataset", "index"])
def test_a_limit_counts_samples_and_cuts_none(tmp_path, write):
    members = [
        (f"{n}.{side}.png", picture(40 + 2 * n + i)) for n in range(6) for i, side in enumerate(("left", "right"))
    ]
    out = over_tar(tmp_path, members, "dataset.limit=3", f"filter.write={write}")
    assert [row["index"] for row in rows(out)] == [0, 0, 1, 1, 2, 2]
    assert verified(out)
    more = ["+dataset=laion_subset", f"dataset.shards={tmp_path}/0.tar", "engine=fake", "engine.workers=0"]
    more += ["filter.splits.clean=true", f"filter.write={write}", f"output.dir={out}"]
    assert main(["run", *more, "extend=true"]) == 0
    assert [row["index"] for row in rows(out)] == [n // 2 for n in range(12)]
    assert verified(out)


def test_a_retry_judges_the_picture_that_failed_and_keeps_the_other(tmp_path):
    members = [("a.left.png", picture(1)), ("a.right.png", picture(2)), ("b.png", picture(3))]
    failing = hashlib.sha256(picture(2)).hexdigest()[:12]
    out = over_tar(tmp_path, members, f"engine.args.fail={{{failing}: reject}}")
    assert [row["status"] for row in rows(out)] == ["labelled", "rejected_by_engine", "labelled"]
    again = ["+dataset=laion_subset", f"dataset.shards={tmp_path}/0.tar", "retry=[rejected_by_engine]"]
    assert run(tmp_path, *again) == out
    assert [(row["image_name"], row["status"]) for row in rows(out)] == [
        ("left.png", "labelled"), ("right.png", "labelled"), ("png", "labelled"),
    ]  # fmt: skip
    assert verified(out)


def test_labels_are_taken_from_identical_pictures_wherever_they_stand(tmp_path):
    members = [
        ("a.left.png", picture(1)),
        ("a.right.png", picture(1)),
        ("b.jpg", picture(1)),
        ("c.gif", picture(2, "GIF", 5)),
    ]
    out = over_tar(tmp_path / "one", members)
    found = rows(out)
    assert [row["reused_from"] is None for row in found] == [True, False, False, True]
    assert [row["image_name"] for row in found] == ["left.png", "right.png", "jpg", "gif"]
    assert verified(out)
    later = over_tar(tmp_path / "two", members[::-1], f"reuse={out}")
    taken = rows(later)
    assert all(row["reused_from"] for row in taken)
    assert taken[0]["frames"] == found[-1]["frames"]
    assert taken[0]["detail"] == found[-1]["detail"] == "2 of 5 frames not judged"
    assert verified(later)


@pytest.mark.parametrize("write", ["parquet", "webdataset", "index"])
def test_two_policies_and_compaction(tmp_path, write):
    members = [
        (f"{n}.{side}.png", picture(40 + 2 * n + i)) for n in range(9) for i, side in enumerate(("left", "right"))
    ]
    out = over_tar(tmp_path, members, "policies=[drawings,kids]", f"filter.write={write}")
    every = rows(out) + rows(out, "kids")
    safe = {n for n in range(9) if all(row["rating"] == "Safe" for row in every if row["index"] == n)}
    if write == "parquet":
        assert {row["index"] for row in split_rows(out, "clean")} == safe
    assert main(["compact", f"output.dir={out}"]) == 0
    assert verified(out)
    assert main(["filter", f"output.dir={out}", "filter.thresholds.unsafe=0.4"]) == 0
    assert verified(out)


def test_an_edited_run_is_found_out(tmp_path):
    members = [("a.left.png", picture(1)), ("a.right.png", picture(4)), ("b.png", picture(3))]
    out = over_tar(tmp_path, members, "filter.thresholds.unsafe=1")
    (path,) = out.glob("annotations/*/*.parquet")
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 1).cast(table.schema), path)  # as if `right.png` and `b` had no rows
    assert main(["verify", f"output.dir={out}"]) == 4


def test_a_source_with_a_further_picture_is_not_the_one_that_was_judged(tmp_path, capsys):
    members = [("a.png", picture(1)), ("b.png", picture(3))]
    out = over_tar(tmp_path, members, "filter.thresholds.unsafe=1")
    (tmp_path / "0.tar").write_bytes(tar_bytes([members[0], ("a.jpg", picture(9)), members[1]]))
    assert main(["filter", f"output.dir={out}", "filter.thresholds.unsafe=0.99"]) == 2
    assert "is not the one that was judged" in capsys.readouterr().err


def test_evaluation_takes_the_strictest_picture_of_a_sample(tmp_path):
    members = [
        (f"{n}.{side}.png", picture(40 + 2 * n + i)) for n in range(6) for i, side in enumerate(("left", "right"))
    ]
    out = over_tar(tmp_path, members)
    found = read_predictions(str(out))
    per_sample = pl.DataFrame(rows(out)).group_by("key").agg((pl.col("rating") == "Unsafe").any().alias("unsafe"))
    assert found.height == 6
    both = found.join(per_sample, on="key")
    assert ((both["rating"] == "Unsafe") == both["unsafe"]).all()


def test_a_choice_that_is_learned_later_keeps_every_label(tmp_path, capsys):
    members = [
        (f"{n}.{side}.png", picture(40 + 2 * n + i)) for n in range(4) for i, side in enumerate(("left", "mask"))
    ]
    out = over_tar(tmp_path, members)
    job = ["+dataset=laion_subset", f"dataset.shards={tmp_path}/0.tar", "dataset.image=left.png"]
    assert run(tmp_path, *job, code=2) == out
    assert f"output.dir=NEW reuse={out} keeps every label" in capsys.readouterr().err
    more = ["engine=fake", "engine.workers=0", f"output.dir={tmp_path}/new", f"reuse={out}"]
    assert main(["run", *job, *more]) == 0
    assert all(row["reused_from"] for row in rows(tmp_path / "new"))
    assert len(rows(tmp_path / "new")) == 4
