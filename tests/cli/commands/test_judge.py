"""`judge`: verdicts on files, folders and standard input, in order, whatever a picture is; nothing is written."""

from __future__ import annotations

import json
import subprocess

import polars as pl
import pytest

from curate.cli.program import main
from curate.settings.dataset import DatasetSettings
from tests.support.jobs import command, environment, picture
from tests.support.waiting import HANG_SECONDS

FAKE = ("engine=fake", "engine.workers=0")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pictures, two of them below, a broken one, and a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures/below").mkdir(parents=True)
    (tmp_path / "pictures/a.jpg").write_bytes(picture(1))
    (tmp_path / "pictures/below/b.PNG").write_bytes(picture(2, kind="PNG"))
    (tmp_path / "pictures/below/c.jpg").write_bytes(picture(3))
    (tmp_path / "pictures/z.gif").write_bytes(b"no picture")
    (tmp_path / "pictures/note.txt").write_text("not a picture")
    return tmp_path


def verdicts(capsys, *arguments):
    assert main(["judge", *arguments, "format=json", *FAKE]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def judged_by_a_run(folder, capsys, *arguments):
    arguments = (
        "+dataset=folder",
        "dataset.shards=pictures",
        "budget.data=1000",
        f"output.dir={folder}/run",
        *arguments,
    )
    assert main(["run", *arguments, *FAKE]) == 0
    capsys.readouterr()
    return {(r["key"], r["policy"]): r for r in pl.read_parquet(f"{folder}/run/annotations/**/*.parquet").to_dicts()}


@pytest.mark.slow
def test_the_verdicts_are_those_of_a_run(folder, capsys):
    policies = "policies=[drawings,kids]"
    expected = judged_by_a_run(folder, capsys, policies)
    found = verdicts(capsys, "pictures", policies)
    assert [v["file"] for v in found[::2]] == [
        "pictures/a.jpg",
        "pictures/below/b.PNG",
        "pictures/below/c.jpg",
        "pictures/z.gif",
    ]
    assert len(found) == len(expected) == 8
    for verdict in found:
        name = verdict["file"].removeprefix("pictures/").rpartition(".")[0]
        row = expected[name, verdict["policy"]]
        for field in ("status", "rating", "category", "category_name", "rationale", "p_unsafe", "sha256", "detail"):
            assert verdict[field] == (pytest.approx(row[field]) if field == "p_unsafe" else row[field])


def test_files_stand_in_the_order_they_are_named_in(folder, capsys):
    names = ["pictures/below/c.jpg", "pictures/a.jpg", "pictures/below/b.PNG", "pictures/a.jpg"]
    assert [v["file"] for v in verdicts(capsys, *names)] == names


def test_a_name_with_an_equals_sign_is_a_file_where_there_is_one(folder, capsys):
    (folder / "a=b.jpg").write_bytes(picture(5))
    assert [v["file"] for v in verdicts(capsys, "a=b.jpg")] == ["a=b.jpg"]


@pytest.mark.slow
def test_more_pictures_than_the_engine_takes_at_once(folder, capsys):
    for seed in range(20):
        (folder / f"{seed:02d}.jpg").write_bytes(picture(seed))
    names = [f"{seed:02d}.jpg" for seed in range(20)]
    few = verdicts(capsys, *names, "engine.max_requests=3")
    assert [v["file"] for v in few] == names
    assert few == verdicts(capsys, *names)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("-",), ()])
def test_a_picture_on_standard_input(folder, arguments):
    done = subprocess.run(
        command("judge", *arguments, "format=json", *FAKE),
        input=picture(1),
        capture_output=True,
        env=environment(),
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    (verdict,) = map(json.loads, done.stdout.splitlines())
    assert (verdict["file"], verdict["status"]) == ("-", "labelled")


@pytest.mark.slow
def test_nothing_on_standard_input_is_one_line(folder):
    done = subprocess.run(
        command("judge", *FAKE), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["curate: standard input: is empty; pipe a picture in, or name files or folders"]


def test_text_says_why_and_counts(folder, capsys):
    found = verdicts(capsys, "pictures")
    assert main(["judge", "pictures", *FAKE]) == 0
    said = capsys.readouterr().out
    for verdict in found[:3]:
        assert f"{verdict['file']}: {verdict['rating']}" in said
    assert "pictures/z.gif: no label, unsupported_format" in said
    assert "1 without a label, by builtin" in said
    assert said.startswith("Mind: ")


def test_a_picture_too_large_to_hold_is_not_held(folder, capsys):
    default = DatasetSettings.model_fields["max_bytes"].default
    with (folder / "large.jpg").open("wb") as file:
        file.truncate(default + 1)
    (verdict,) = verdicts(capsys, "large.jpg")
    assert (verdict["status"], verdict["rating"]) == ("too_many_bytes", None)
    assert str(default + 1) in verdict["detail"].replace(",", "")


def test_nothing_is_written(folder, capsys):
    before = sorted(folder.rglob("*"))
    verdicts(capsys, "pictures")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.jpg"], ["nowhere.jpg", "no such file"]),
        (["empty"], ["empty", "no images"]),
        (["pictures/a.jpg", "format=xml"], ["format=xml", "text, json"]),
        (["pictures/a.jpg", "policy=nobody"], ["policy=nobody", "no such policy"]),
        (["pictures/a.jpg", "dataset.limit=3"], ["dataset.limit=3", "changes no verdict", "policy"]),
        (["pictures/a.jpg", "--policy", "kids"], ["policy=kids"]),
        (["pictures/a.jpg", "model.dtyp=float32"], ["model.dtyp", "no such setting", "model.dtype"]),
    ],
)
def test_mistakes_are_one_line(folder, capsys, arguments, said):
    (folder / "empty").mkdir()
    assert main(["judge", *arguments, *FAKE]) == 2
    streams = capsys.readouterr()
    assert streams.err.count("\n") == 1, streams.err
    for word in said:
        assert word in streams.err


def test_escape_codes_in_a_name_do_not_reach_the_terminal(folder, capsys):
    (folder / "\x1b[31mred.jpg").write_bytes(picture(1))
    assert main(["judge", "\x1b[31mred.jpg", *FAKE]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.vllm
def test_the_built_in_safeguard_judges_at_once(folder, capsys):
    done = subprocess.run(
        command("judge", "pictures", "format=json"), capture_output=True, env=environment(), timeout=HANG_SECONDS
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [v["status"] for v in found] == ["labelled"] * 3 + ["unsupported_format"]
    assert all(0 <= v["p_unsafe"] <= 1 for v in found[:3])
