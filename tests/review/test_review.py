"""From a run's splits to people and back: drawn, filled in, taken in, obeyed, and found again by another run."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from curate.cli.program import main
from curate.core.errors import ExitCode
from curate.images.decoding import sha256_of
from curate.review.pictures import SIDE
from tests.support.filled_in import filled_in, tasks
from tests.support.jobs import fake_run, picture, rows, split_rows, write_tar

SAMPLES = 150
REVIEWS = 80


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    for shard in range(2):
        seeds = range(shard * SAMPLES, (shard + 1) * SAMPLES)
        write_tar(folder / f"{shard:05d}.tar", seeds, broken={shard * SAMPLES + 5: b"no picture"})
    assert main([*fake_run(str(folder / "{00000..00001}.tar"), folder / "run"), "filter=strict"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def audit(judged) -> Path:
    to = judged.parent / "audit"
    assert main(["review", "export", f"output.dir={judged}", f"to={to}", f"reviews={REVIEWS}"]) == 0
    return to


def sample(run, kind="audit"):
    (name,) = (run / "reviews").glob(f"{kind}-*")
    return {row["task"]: row for row in pl.read_parquet(name / "sample.parquet").to_dicts()}


def keys(run, split):
    return {row["key"] for row in split_rows(run, split)}


def test_an_audit_shows_pictures_and_nothing_of_what_the_safeguard_said(judged, audit):
    drawn, shown = sample(judged), tasks(audit)
    assert [row["task"] for row in shown] == sorted(drawn)
    assert len(shown) == REVIEWS
    for row in shown:
        with Image.open(audit / "images" / row["images"]) as image:
            assert max(image.size) <= SIDE
        assert row["stratum"][0] == "s"
    text = "".join(path.read_text() for path in audit.iterdir() if path.suffix in (".csv", ".json"))
    said = {str(drawn[task][column]) for task in drawn for column in ("key", "sha256", "p_unsafe", "stratum")}
    assert not [one for one in said if one in text]
    assert "predictions" not in text
    order = [drawn[row["task"]]["index"] for row in shown]
    assert order != sorted(order), "an order that tells nothing"
    assert len(tasks(audit, "tasks-second.csv")) == REVIEWS // 10


def test_the_sample_is_random_within_its_strata_and_says_how_likely_each_was(judged, audit):
    drawn = pl.DataFrame(list(sample(judged).values()))
    (name,) = (judged / "reviews").glob("audit-*")
    strata = pl.read_parquet(name / "strata.parquet")
    assert strata["population"].sum() == 2 * SAMPLES - 2, "all but what was not judged"
    counts = dict(drawn["stratum"].value_counts().iter_rows())
    for row in strata.to_dicts():
        taken = counts[row["name"]]
        of_it = drawn.filter(pl.col("stratum") == row["name"])["inclusion_probability"].unique().to_list()
        assert of_it == [pytest.approx(taken / row["population"])]
    assert drawn.filter(pl.col("split") == "clean").height == 0.75 * REVIEWS


def test_doing_so_again_gives_the_same_and_never_writes_over_a_verdict(judged, audit, tmp_path, capsys):
    given = ["review", "export", f"output.dir={judged}", f"reviews={REVIEWS}"]
    before = (audit / "tasks.csv").read_bytes()
    assert main([*given, f"to={audit}"]) == 0
    assert (audit / "tasks.csv").read_bytes() == before
    assert main([*given, "seed=1", f"to={audit}"]) == ExitCode.INPUT
    assert "name a new folder with to=DIR" in capsys.readouterr().err
    assert main([*given, f"to={tmp_path / 'other'}"]) == 0
    assert (tmp_path / "other" / "tasks.csv").read_bytes() == before
    filled = filled_in(tmp_path / "other", lambda task: "Safe", name="tasks.csv").read_bytes()
    assert main([*given, f"to={tmp_path / 'other'}"]) == ExitCode.INPUT
    assert (tmp_path / "other" / "tasks.csv").read_bytes() == filled


@pytest.mark.slow
def test_verdicts_become_estimates_a_gold_set_and_overrides_that_filter_obeys(judged, audit, tmp_path, capsys):
    drawn = sample(judged)
    leak, *_ = clean = sorted(task for task, row in drawn.items() if row["split"] == "clean")
    wrongly_removed, *_ = sorted(task for task, row in drawn.items() if row["split"] == "unsafe")
    against = {leak: "Unsafe", wrongly_removed: "Safe"}
    verdict = {task: against.get(task, "Safe" if task in clean else "Unsafe") for task in drawn}
    done = filled_in(audit, verdict.__getitem__)
    assert main(["review", "import", f"output.dir={judged}", str(done)]) == 0
    (name,) = (judged / "reviews").glob("audit-*")
    record = json.loads((name / "estimates.json").read_text())
    leakage = record["leakage_of_clean"]
    assert (leakage["reviewed"], leakage["unsafe"]) == (len(clean), 1)
    by_hand = 1 / drawn[leak]["inclusion_probability"] / leakage["population"]
    assert leakage["low"] <= leakage["rate"] == pytest.approx(by_hand)
    assert leakage["rate"] < leakage["at_most"] < leakage["high"] < 0.2
    assert f"at most {100 * leakage['at_most']:.2g} % unsafe (95 %" in capsys.readouterr().out

    gold = f"gold={name / 'gold.csv'}"
    assert main(["evaluate", f"predictions={judged}", gold, f"output.dir={tmp_path / 'evaluated'}"]) == 0
    metrics = json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    assert metrics["n"] == len(drawn)

    assert main(["filter", f"output.dir={judged}", f"filter.overrides={judged}"]) == 0
    assert drawn[leak]["key"] in keys(judged, "unsafe")
    assert drawn[wrongly_removed]["key"] in keys(judged, "clean")
    assert main(["verify", f"output.dir={judged}"]) == 0
    (ledger,) = (judged / "tables").glob("reviewed-*.parquet")
    reviewed = {row["review"]: row for row in pl.read_parquet(ledger).to_dicts()}
    assert reviewed.keys() == drawn.keys()
    assert (reviewed[leak]["rating"], reviewed[leak]["verdict"], reviewed[leak]["reviewer"]) == (
        "Safe",
        "Unsafe",
        "ann",
    )
    assert f"**Reviewed:** {REVIEWS} samples" in (judged / "README.md").read_text()

    shards = ",".join(str(path) for path in sorted(judged.parent.glob("*.tar")))
    again = [*fake_run(f"[{shards}]", tmp_path / "later"), "filter=strict", f"filter.overrides={judged}"]
    assert main(again) == 0, "a later run knows the pictures by their bytes"
    assert keys(tmp_path / "later", "clean") == keys(judged, "clean")
    assert main(["filter", f"output.dir={judged}", "filter.overrides=[]"]) == 0
    assert drawn[leak]["key"] in keys(judged, "clean")


@pytest.mark.slow
def test_a_second_reviewer_is_added_to_the_first(judged, tmp_path, capsys):
    given = ["review", "export", f"output.dir={judged}", "reviews=60", "seed=5", f"to={tmp_path / 'a'}"]
    assert main(given) == 0
    ann = filled_in(tmp_path / "a", lambda task: "Safe")
    bob = filled_in(tmp_path / "a", lambda task: "Unsafe" if task.endswith("3") else "Safe", "bob", "bob.csv")
    for file in (ann, bob):
        assert main(["review", "import", f"output.dir={judged}", str(file)]) == 0
    said = capsys.readouterr().out
    assert "6 ties count as Unsafe; a third verdict settles them" in said
    assert "agreement   0.90 over 60 tasks with two verdicts (kappa 0.00, AC1 " in said


def test_triage_is_what_lies_in_review_with_what_the_safeguard_said(judged, tmp_path):
    assert (
        main(["review", "export", f"output.dir={judged}", f"to={tmp_path / 't'}", "purpose=triage", "reviews=7"]) == 0
    )
    drawn = sample(judged, "triage").values()
    assert {row["split"] for row in drawn} == {"review"}
    highest = sorted((row["p_unsafe"] for row in split_rows(judged, "review")), reverse=True)[:7]
    assert sorted((row["p_unsafe"] for row in drawn), reverse=True) == highest
    (prediction,) = json.loads((tmp_path / "t" / "label_studio.json").read_text())[0]["predictions"]
    assert prediction["result"][0]["value"]["choices"][0] in ("Safe", "Unsafe")
    done = filled_in(tmp_path / "t", lambda task: "Unsafe")
    assert main(["review", "import", f"output.dir={judged}", str(done)]) == 0
    (name,) = (judged / "reviews").glob("triage-*")
    assert not (name / "gold.csv").exists(), "what lies in the band is no sample of the whole"


def test_a_source_that_changed_is_named_and_no_task_is_written(tmp_path, capsys):
    write_tar(tmp_path / "0.tar", range(40))
    assert main([*fake_run(str(tmp_path / "0.tar"), tmp_path / "run")]) == 0
    write_tar(tmp_path / "0.tar", range(100, 140))
    assert (
        main(["review", "export", f"output.dir={tmp_path / 'run'}", f"to={tmp_path / 'a'}", "reviews=20"])
        == ExitCode.INPUT
    )
    assert "is not the one that was judged" in capsys.readouterr().err
    assert not (tmp_path / "a" / "tasks.csv").exists()
    assert not (tmp_path / "run" / "reviews").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export"], "needs to=DIR"),
        (["export", "to=x", "reviews=0"], "reviews=0: give a whole number from 1 on"),
        (["export", "to=x", "purpose=look"], "purpose=look: choose one of audit, triage"),
        (["export", "to=x", "overlap=2"], "overlap=2: give a number from 0 to 1"),
        (["import"], "name the files with verdicts"),
        (["import", "specificity=0.4", "sensitivity=0.5", "x.csv"], "reviewers guess"),
        (["import", "missing.csv"], "missing.csv: no verdicts can be read"),
        (["delete"], "say what to do, one of export, serve, import"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(judged, arguments, said, capsys):
    action, *rest = arguments
    assert main(["review", action, f"output.dir={judged}", *rest]) == ExitCode.INPUT
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_task_of_another_run_is_refused(judged, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("task,rating\naudit-00000000-1,Safe\n")
    assert main(["review", "import", f"output.dir={judged}", str(tmp_path / "t.csv")]) == ExitCode.INPUT
    assert "is of no sample of" in capsys.readouterr().err


def test_pictures_of_a_sample_are_all_shown(tmp_path):
    """Any of them may be what makes it unsafe."""
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for seed in range(24):
            member = tarfile.TarInfo(f"{seed // 2}.{'left' if seed % 2 else 'right'}.jpg")
            data = picture(seed)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    run = tmp_path / "run"
    assert main([*fake_run(str(tmp_path / "0.tar"), run), "dataset.image=all"]) == 0
    assert main(["review", "export", f"output.dir={run}", f"to={tmp_path / 'a'}", "reviews=8"]) == 0
    shown = tasks(tmp_path / "a")
    assert all(len(row["images"].split(" ")) == 2 for row in shown)
    assert sha256_of(picture(0)) in {row["sha256"] for row in rows(run)}
