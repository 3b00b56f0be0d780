"""What `run` ends with: one screen, right when pasted, and out of reach for what the data say."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from curate.console.half_blocks import half_blocks
from curate.runs import disagreement
from curate.runs.commits import commits_by_shard
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.disagreement import disagreements
from curate.runs.run_folder import load_run
from curate.summary import examples
from curate.summary.examples import Kind, choose, pictures
from curate.summary.summary import ScreenOptions, summary
from tests.support.jobs import command, curate, environment, fake_run, picture, rows, write_tar
from tests.support.terminals import CODES, height, plain, shown
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.slow

SAMPLE = ("run", "+dataset=laion_subset", "engine=fake", "engine.workers=0", "output.dir=run")
BLOCK = "\u2580"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a run over the built-in sample in it, and what that printed in a pipe."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, curate(*SAMPLE, cwd=folder)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A run under three policies."""
    folder = tmp_path_factory.mktemp("several")
    write_tar(folder / "0.tar", range(40))
    write_tar(folder / "1.tar", range(40, 70), broken={45: b""})
    curate(*fake_run(f"{folder}/{{0..1}}.tar", folder / "run", "policies=[drawings,kids,medical]"))
    return folder / "run"


def last(text: str) -> list[str]:
    """The lines of the summary alone."""
    lines = plain(text).rstrip().splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.startswith("Mind: ")) :]


def values(lines: list[str], label: str) -> str:
    """What stands behind a label, in one line."""
    (start,) = (n for n, line in enumerate(lines) if line.startswith(label))
    rest = next((n for n, line in enumerate(lines[start + 1 :], start + 1) if line[:12].strip()), len(lines))
    return " ".join(line[12:].strip() for line in lines[start:rest])


def paste(line: str, cwd: Path) -> str:
    """What a shell makes of a line; it has to end well."""
    done = subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands_of(text: str) -> list[str]:
    """The commands that it ends with."""
    return [line.strip() for line in text.splitlines() if line.startswith("  ") and " -" in line and "python" in line]


def test_it_fits_a_screen_in_a_pipe(finished):
    _, done = finished
    lines = [re.sub(r"\S*/bin/python", "python", line) for line in last(done.stdout)]
    assert height(lines, 80) <= 24, "\n".join(lines)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    wide = [line for line in lines if len(line) > 80]
    assert all(line.startswith("  python ") for line in wide), "only commands are not wrapped, to be copied"


def test_it_says_what_was_found_and_what_failed(finished):
    folder, done = finished
    found, lines = rows(folder / "run"), last(done.stdout)
    ratings = Counter(row["rating"] for row in found)
    assert (
        values(lines, "found") == f"{ratings['Safe']} Safe {ratings['Unsafe']} Unsafe 6 failed".replace(" ", "   ", 0)
        or True
    )
    assert values(lines, "found").split() == [
        str(ratings["Safe"]),
        "Safe",
        str(ratings["Unsafe"]),
        "Unsafe",
        "6",
        "failed",
    ]
    kinds = Counter(row["category"] for row in found if row["rating"] == "Unsafe")
    told = dict(reversed(part.split()[:2]) for part in values(lines, "Unsafe as").replace(":", "").split("; "))
    more = told.pop(next(name for name in told if name not in kinds))
    assert more == "and"
    assert {code: int(count) for code, count in told.items()} == dict(kinds.most_common(len(told)))
    assert f"and {len(kinds) - len(told)} more kind" in values(lines, "Unsafe as")
    statuses = Counter(row["status"] for row in found if row["rating"] is None)
    assert all(f"{count} {status}" in values(lines, "failed") for status, count in statuses.items())
    assert "raise dataset.max_pixels" in values(lines, "failed")


def test_its_examples_are_sure_or_at_the_border(finished):
    folder, done = finished
    labelled = [row for row in rows(folder / "run") if row["rating"]]
    safe = min((r for r in labelled if r["rating"] == "Safe"), key=lambda r: r["p_unsafe"])
    unsafe = max((r for r in labelled if r["rating"] == "Unsafe"), key=lambda r: r["p_unsafe"])
    border = min(labelled, key=lambda r: abs(r["p_unsafe"] - 0.5))
    said = values(last(done.stdout), "examples")
    for kind, row in (("surest Safe", safe), ("surest Unsafe", unsafe), ("at the border", border)):
        caption = " ".join(json.loads(row["meta"])["caption"].split())
        assert f"{kind}, p_unsafe {row['p_unsafe']:.2f}" in said
        assert caption[:20] in said


def test_what_it_offers_works_when_pasted(finished):
    folder, done = finished
    split, load, audit = commands_of(done.stdout)
    assert "splits      failed" in paste(split, folder)
    assert paste(load, folder).startswith("Dataset({")
    assert "no violation" in paste(audit, folder)


def test_it_offers_to_judge_again_what_the_engine_failed_at(tmp_path):
    write_tar(tmp_path / "0.tar", range(20))
    write_tar(tmp_path / "1.tar", range(20, 40))
    whole = (tmp_path / "1.tar").read_bytes()
    (tmp_path / "1.tar").write_bytes(whole[: len(whole) // 2])
    engine = {"name": "fake", "workers": 0, "args": {"load": 0}}
    faulty = engine | {"args": {"fail": {examples.sha256_of(picture(3))[:12]: "invalid"}}}
    (tmp_path / "engine.yaml").write_text(json.dumps(faulty))
    run = ["run", "+dataset=laion_subset", "dataset.shards=[0.tar,1.tar]", "output.dir=the run", "budget.engine=5"]
    done = curate(*run, "engine=./engine.yaml", cwd=tmp_path)
    again, mended, _ = commands_of(done.stdout)
    lines = last(done.stdout)
    assert "1 invalid_output (retry=[invalid_output])" in values(lines, "failed")
    assert "breaks off after" in values(lines, "shard")
    assert "retry=" not in mended

    (tmp_path / "engine.yaml").write_text(json.dumps(engine))
    (tmp_path / "1.tar").write_bytes(whole)
    assert "1 rows to judge again" in paste(again, tmp_path)
    assert "finished before" in paste(mended, tmp_path)
    assert {row["status"] for row in rows(tmp_path / "the run")} == {"labelled"}


@pytest.mark.parametrize("columns", [112, 80])
def test_on_a_terminal_it_has_colours_and_pictures(finished, columns):
    folder, done = finished
    text = shown(command(*SAMPLE), columns=columns, cwd=folder)
    lines = last(text)
    assert height(lines[:-2], columns) <= 40
    assert "\x1b[38;2;" in text
    assert sum(BLOCK in line for line in lines) >= 6
    assert "\x1b" not in CODES.sub("", text)
    beside = [line for line in lines if BLOCK in line]
    assert all(len(line) <= columns for line in beside)
    assert {"surest Safe", "surest Unsafe", "at the border"} <= set(
        re.findall(r"surest \w+|at the border", str(beside))
    )
    assert values(lines, "found") == values(last(done.stdout), "found")


@pytest.mark.parametrize(
    ("columns", "variables"), [(112, {"NO_COLOR": "1"}), (112, {"TERM": "dumb"}), (112, {"PYTHONIOENCODING": "ascii"})]
)
def test_where_pictures_cannot_be_seen_there_are_words(finished, columns, variables):
    folder, _ = finished
    text = shown(command(*SAMPLE), columns=columns, cwd=folder, **variables)
    assert BLOCK not in text
    assert "surest Unsafe, p_unsafe" in text.replace("\x1b[1;31m", "").replace("\x1b[0m", "")
    if "PYTHONIOENCODING" not in variables:
        assert "\x1b" not in text[text.index("Mind: ") :]


def test_a_narrow_terminal_has_narrow_lines(finished):
    folder, _ = finished
    text = shown(command(*SAMPLE), columns=50, cwd=folder)
    assert BLOCK not in text
    wide = [line for line in last(text) if len(line) > 50 and "python" not in line and "finished before" not in line]
    assert wide == []


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egpj.exe\r\n\x9b31mred"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Data whose captions, keys and names of shards would move a terminal's cursor, if they were let."""
    folder = tmp_path_factory.mktemp("hostile")
    with tarfile.open(folder / "0\x1b[31m.tar", "w") as tar:
        for seed in range(20):
            for suffix, data in ((".jpg", picture(seed)), (".txt", HOSTILE.encode())):
                member = tarfile.TarInfo(f"\x1b[31m{seed:03d}{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    data = (folder / "0\x1b[31m.tar").read_bytes()
    (folder / "1\x1b[31m.tar").write_bytes(data[: len(data) // 2])
    return folder


@pytest.mark.parametrize("caption", ["caption", "null"])
def test_the_data_cannot_act(hostile, caption):
    arguments = fake_run(f"{hostile}/*.tar", hostile / caption, f"dataset.caption={caption}")
    done = curate(*arguments)
    text = shown(command(*arguments), columns=112)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x1b" not in CODES.sub("", text)
    assert "\x1b[2J" not in text
    assert not set("\x07\x9b\u202e") & set(done.stdout + text)
    assert (r"\x1b]0;owned" if caption == "caption" else r"\x1b[31m0") in done.stdout
    assert r"1\x1b[31m.tar" in " ".join(done.stdout.split())


def test_examples_are_chosen_from_few_shards_and_rows(finished, monkeypatch):
    run = load_run(finished[0] / "run")
    commits = list(commits_by_shard(run.store, "drawings").values())
    monkeypatch.setattr(examples, "SHARDS", 1)
    monkeypatch.setattr(examples, "ROWS", 5)
    few = choose(run.store, commits, "caption")
    assert few
    assert all((e.shard, e.index) in {(commits[0].shard, n) for n in range(5)} for e in few)
    assert few == choose(run.store, iter(commits), "caption")


def test_without_probabilities_the_first_of_each_rating_are_shown():
    rated = pl.DataFrame(
        {"shard": [0, 0, 1, 1], "index": [4, 5, 0, 1], "rating": ["Unsafe", "Safe", "Safe", "Unsafe"]}
    ).with_columns(p_unsafe=pl.lit(None, dtype=pl.Float32))
    assert examples._chosen(rated) == {Kind.SAFE: (0, 5), Kind.UNSAFE: (0, 4)}


def test_a_summary_without_probabilities_offers_no_threshold(finished, monkeypatch):
    run = load_run(finished[0] / "run")
    blind = [
        replace(e, p_unsafe=None) for e in choose(run.store, commits_by_shard(run.store, "drawings").values(), None)
    ]
    monkeypatch.setattr("curate.summary.summary.choose", lambda *_: blind)
    text = "\n".join(row.plain for row in summary(run, {"clean": 1}))
    assert "filter.thresholds" not in text
    assert "p_unsafe" not in text


def test_pictures_are_those_that_were_judged_or_none(finished, tmp_path):
    run = load_run(finished[0] / "run")
    chosen = choose(run.store, commits_by_shard(run.store, "drawings").values(), "caption")
    shards, dataset = run.plan.shards, run.settings.dataset
    assert len(pictures(chosen, shards, dataset)) == 3
    assert pictures([replace(e, sha256="0" * 64) for e in chosen], shards, dataset) == {}
    assert pictures(chosen, [replace(s, url=f"{tmp_path}/gone.tar") for s in shards], dataset) == {}
    assert pictures(chosen, [], dataset) == {}
    assert pictures(chosen, shards, dataset.model_copy(update={"max_pixels": 10})) == {}


def test_a_source_that_is_slow_holds_nothing_up(finished, monkeypatch):
    run = load_run(finished[0] / "run")
    chosen = choose(run.store, commits_by_shard(run.store, "drawings").values(), "caption")
    monkeypatch.setattr(examples, "PICTURE_SECONDS", 0.0)
    monkeypatch.setattr(examples, "_picture", lambda *_: examples.threading.Event().wait(1.0) and None)
    assert pictures(chosen, run.plan.shards, run.settings.dataset) == {}


def test_half_blocks_are_the_picture():
    image = Image.new("RGB", (4, 3))
    image.putdata([(n, 2 * n, 3 * n) for n in range(12)])
    exact = half_blocks(image, 4, 8)
    assert [line.plain for line in exact] == [BLOCK * 4] * 2
    assert [line.plain for line in half_blocks(image, 8, 1)] == [f"{BLOCK * 3}     "], "the whole picture, in its shape"
    upper = [tuple(span.style.color.triplet) for span in exact[0].spans]
    lower = [tuple(span.style.bgcolor.triplet) for span in exact[0].spans]
    assert upper == [(n, 2 * n, 3 * n) for n in range(4)]
    assert lower == [(n, 2 * n, 3 * n) for n in range(4, 8)]
    assert all(span.style.bgcolor is None for span in exact[1].spans), "three rows of pixels are one and a half lines"


def independent(folder: Path, one: str, other: str) -> Counter[str]:
    """Categories of what is Unsafe under `one` and Safe under `other`, row by row."""
    safe = {(r["shard"], r["index"]) for r in rows(folder, other) if r["rating"] == "Safe"}
    unsafe = (r for r in rows(folder, one) if r["rating"] == "Unsafe")
    return Counter(r["category"] for r in unsafe if (r["shard"], r["index"]) in safe)


@pytest.mark.parametrize("window", [500_000, 7])
def test_where_policies_differ(several, monkeypatch, window):
    monkeypatch.setattr(disagreement, "WINDOW", window)
    run = load_run(several)
    commits = {policy: commits_by_shard(run.store, policy) for policy in run.settings.passes}
    found = disagreements(AnnotationFiles(run.store), commits)
    assert {(d.unsafe_under, d.safe_under): dict(d.categories) for d in found} == {
        (one, other): dict(independent(several, one, other)) for one in commits for other in commits if one != other
    }
    assert all(d.samples == sum(d.categories.values()) for d in found)
    assert [d.samples for d in found] == sorted((d.samples for d in found), reverse=True)
    assert found[0].samples > 0


def test_many_policies_are_each_compared_with_all_others(several, monkeypatch):
    monkeypatch.setattr(disagreement, "PAIRS_UP_TO", 2)
    run = load_run(several)
    commits = {policy: commits_by_shard(run.store, policy) for policy in run.settings.passes}
    rated = {policy: {(r["shard"], r["index"]): r["rating"] for r in rows(several, policy)} for policy in commits}
    expected = {
        one: sum(
            rating == "Unsafe" and any(rated[other][place] == "Safe" for other in rated if other != one)
            for place, rating in rated[one].items()
        )
        for one in rated
    }
    found = disagreements(AnnotationFiles(run.store), commits)
    assert {d.unsafe_under: d.samples for d in found} == expected
    assert {d.safe_under for d in found} == {None}


def test_the_summary_says_where_policies_differ(several):
    run = load_run(several)
    lines = [row.plain for row in summary(run, {"clean": 1})]
    text = " ".join(" ".join(lines).split())
    first = disagreements(AnnotationFiles(run.store), {p: commits_by_shard(run.store, p) for p in run.settings.passes})[
        0
    ]
    assert f"{first.samples} Unsafe under {first.unsafe_under} and Safe under {first.safe_under}" in text
    assert height(lines, 80) <= 30
    known = [row.plain for row in summary(run, {"clean": 1}, ScreenOptions(differences=[]))]
    assert any("nowhere: no sample" in line for line in known), "what is known already is not looked for"


def test_one_policy_differs_from_none(finished):
    assert "differ" not in finished[1].stdout
    run = load_run(finished[0] / "run")
    assert disagreements(AnnotationFiles(run.store), {"drawings": commits_by_shard(run.store, "drawings")}) == ()


@pytest.mark.parametrize(
    ("form", "parts", "loaded"),
    [
        ("webdataset", "{}", "'__key__'"),
        ("webdataset", "{a: 0.5, b: 0.5}", "'__key__'"),
        ("parquet", "{a: 0.5, b: 0.5}", "DatasetDict({\n    a: Dataset"),
        ("index", "{}", "Dataset({"),
    ],
)
def test_splits_of_every_kind_can_be_loaded_as_told(finished, tmp_path, form, parts, loaded):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    done = curate(*SAMPLE, f"filter.write={form}", f"filter.subdivide={parts}", cwd=tmp_path)
    _, load, _ = commands_of(done.stdout)
    assert loaded in paste(load, tmp_path)


def test_a_terminal_of_no_width_to_speak_of_ends_nothing(finished):
    run = load_run(finished[0] / "run")
    assert list(summary(run, {"clean": 1}, ScreenOptions(width=5)))
