"""Decisions are those of `filter` by the same file; what no rule lets pass is blocked."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from curate.cli.hydra_config import compose_serve
from curate.core.calibration import Calibration
from curate.core.errors import InputError
from curate.core.types import Annotation, Rating, Status
from curate.guard.decider import Decider
from curate.settings.filter import FilterSettings, Thresholds
from tests.support.filtering_cases import DEFAULT_RULES, policy
from tests.support.jobs import curate, fake_run, picture, rows, split_rows, write_tar
from tests.support.services import serving

POLICY = policy("p")
ROW = Annotation(
    key="", shard="", index=0, policy="p", status=Status.LABELLED, sha256="0", rating=Rating.SAFE, category="NA"
)
RULES = {"splits": DEFAULT_RULES}


def decide(row, passes=("clean",), **settings):
    (decision,) = Decider(FilterSettings(**(RULES | settings)), [POLICY], passes).decide([row], ["hash"])
    return decision


@pytest.mark.slow
@pytest.mark.parametrize("scores", [False, True])
def test_the_sample_gets_the_same_decisions_from_filter_and_from_the_service(tmp_path, scores):
    """The same where every category has a score that is held against its own threshold."""
    asked = ["model.category_scores=true"] if scores else []
    seeds = range(150)
    write_tar(tmp_path / "00000.tar", list(seeds), broken={7: b"no picture"})
    run = tmp_path / "run"
    curate(*fake_run(str(tmp_path / "00000.tar"), run), *asked)
    judged = rows(run)
    with (tmp_path / "gold.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "rating", "category"])
        for n, row in enumerate(judged):
            rating = (row["rating"] or "Safe") if n % 5 else "Unsafe"
            table.writerow([row["key"], rating, "O2" if rating == "Unsafe" else "NA"])
    curate("evaluate", f"predictions={run}", f"gold={tmp_path / 'gold.csv'}", "recall=0.8", "calibrated=true")
    files = [str(path) for path in sorted(run.glob("filter*.yaml"))]
    assert len(files) > 1, "thresholds in general, and by category"
    if scores:
        rules = yaml.safe_load(Path(files[0]).read_text()) | {"by_category": {"O2": {"unsafe": 0.1, "review": 0.02}}}
        (tmp_path / "by_score.yaml").write_text(yaml.safe_dump(rules))
        files.append(str(tmp_path / "by_score.yaml"))
    by_score = 0
    for chosen in (*files, "strict"):
        curate("filter", f"output.dir={run}", f"filter={chosen}", "filter.write=index")
        splits = {s: {row["sha256"] for row in split_rows(run, s)} for s in ("clean", "review", "unsafe")}
        with serving(f"filter={chosen}", *asked) as service:
            for seed in seeds:
                image = b"no picture" if seed == 7 else picture(seed)
                said = service.judge(image).json()
                decision = said["curate"] if seed == 7 else said
                if seed == 7:
                    assert (decision["split"], decision["blocked"]) == ("failed", True)
                    continue
                assert decision["sha256"] in splits[decision["split"]], (chosen, seed)
                assert decision["blocked"] == (decision["split"] != "clean")
                by_score += "by the score of O2" in decision["decided_by"] and decision["split"] == "unsafe"
        assert sum(map(len, splits.values())) == len(judged) - 1
        assert len(splits["clean"]) > 5
        assert len(splits["unsafe"]) > 5
    assert (by_score > 5) == scores


def test_the_categories_whose_score_decides_are_named():
    row = replace(ROW, p_unsafe=0.4, category_scores={"O1": 0.1, "O2": 0.3})
    own = {"by_category": {"O1": Thresholds(unsafe=0.2), "O2": Thresholds(unsafe=0.25, review=0.1)}}
    decision = decide(row, **own)
    assert (decision.split, decision.reached) == ("unsafe", ("O2",))
    assert decision.decided_by == (
        "rule unsafe, filter.by_category.O2.unsafe=0.25 by the score of O2, "
        "filter.by_category.O2.review=0.1 by the score of O2"
    )
    halved = Calibration(method="isotonic", fitted_on=10, x=(0.0, 0.4, 1.0), y=(0.0, 0.2, 1.0))
    calibrated = decide(row, **own, calibration=halved)
    assert (calibrated.split, calibrated.reached) == ("review", ("O2",))
    assert calibrated.category_scores == pytest.approx({"O1": 0.05, "O2": 0.15})
    assert not decide(replace(row, category_scores=None), **own).reached


def test_the_safeguards_own_rating_decides_without_thresholds():
    assert not decide(replace(ROW, p_unsafe=0.9))
    unsafe = decide(replace(ROW, rating=Rating.UNSAFE, category="O2", p_unsafe=0.1))
    assert unsafe
    assert unsafe.decided_by == "rule unsafe, the safeguard's own rating"
    assert unsafe.policy_hash == "hash"


def test_the_threshold_that_decides_is_named():
    thresholds = {"thresholds": Thresholds(unsafe=0.5, review=0.2), "by_category": {"O2": Thresholds(unsafe=0.25)}}
    general = decide(replace(ROW, p_unsafe=0.3), **thresholds)
    assert general.split == "review"
    assert general.decided_by == "rule review, filter.thresholds.unsafe=0.5, filter.thresholds.review=0.2"
    own = decide(replace(ROW, category="O2", p_unsafe=0.3), **thresholds)
    assert own.split == "unsafe"
    assert own.decided_by.startswith("rule unsafe, filter.by_category.O2.unsafe=0.25")


def test_numbers_are_held_against_thresholds_as_they_are_stored():
    assert decide(replace(ROW, p_unsafe=0.7 - 1e-9), thresholds=Thresholds(unsafe=0.7)).split == "unsafe"


def test_what_is_calibrated_is_decided_by_what_it_becomes():
    calibration = Calibration(method="isotonic", fitted_on=3, x=(0.0, 0.2, 1.0), y=(0.0, 0.8, 1.0))
    decision = decide(replace(ROW, p_unsafe=0.2), thresholds=Thresholds(unsafe=0.5), calibration=calibration)
    assert decision
    assert decision.p_unsafe == 0.2
    assert decision.p_calibrated == pytest.approx(0.8)


def test_review_is_blocked_unless_it_passes_by_name():
    row, thresholds = replace(ROW, p_unsafe=0.3), Thresholds(unsafe=0.5, review=0.2)
    assert decide(row, thresholds=thresholds)
    assert not decide(row, passes=["clean", "review"], thresholds=thresholds)


EVERYTHING = ["clean", "review", "unsafe"]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.LABELLED])
def test_what_was_not_judged_never_passes(status):
    row = replace(ROW, status=status, rating=None, category=None, detail="broken")
    decision = decide(row, passes=EVERYTHING)
    assert decision
    assert not decision.judged
    assert decision.split == "failed"


@pytest.mark.parametrize("rating", list(Rating))
def test_an_animation_never_passes_whatever_passes(rating):
    decision = decide(replace(ROW, rating=rating, detail="only its first frame was judged"), passes=EVERYTHING)
    assert decision
    assert not decision.judged
    assert decision.decided_by == "not all of it was judged"


@pytest.mark.parametrize(
    "settings",
    [{"thresholds": Thresholds(unsafe=0.5)}, {"splits": {"clean": "rating = 'Maybe'"}}],
)
def test_what_no_rule_could_decide_never_passes(settings):
    assert decide(ROW, passes=EVERYTHING[:2], **settings)


@pytest.mark.parametrize(
    ("settings", "passes", "said"),
    [
        ({"fields": {"punsafe": "float"}}, ["clean"], r"filter\.fields\.punsafe"),
        ({}, ["all"], r"serve\.passes"),
        ({}, ["failed"], r"serve\.passes"),
        ({"by_category": {"O9": Thresholds(unsafe=0.1)}}, ["clean"], "O9"),
    ],
)
def test_rules_that_do_not_fit_are_refused(settings, passes, said):
    with pytest.raises(InputError, match=said):
        Decider(FilterSettings(**(RULES | settings)), [POLICY], passes)


def test_many_who_ask_at_once_get_their_own():
    decider = Decider(FilterSettings(**RULES, thresholds=Thresholds(unsafe=0.5)), [POLICY], ["clean"])

    async def ask():
        asked = [decider.decided(replace(ROW, p_unsafe=n / 500, sha256=str(n)), str(n)) for n in range(500)]
        return await asyncio.gather(*asked)

    found = asyncio.run(ask())
    assert [(one.sha256, one.policy_hash, one.blocked) for one in found] == [
        (str(n), str(n), n >= 250) for n in range(500)
    ]


def test_one_who_stops_waiting_disturbs_nobody():
    decider = Decider(FilterSettings(**RULES), [POLICY], ["clean"])

    async def ask():
        tasks = [asyncio.create_task(decider.decided(replace(ROW, sha256=str(n)), "h")) for n in range(10)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(ask())
    assert isinstance(found[3], asyncio.CancelledError)
    assert [one.sha256 for n, one in enumerate(found) if n != 3] == [str(n) for n in range(10) if n != 3]


def test_a_service_is_composed_with_the_filter_it_is_given():
    settings, _ = compose_serve(["filter=strict"])
    assert settings.filter.thresholds == Thresholds(unsafe=0.3, review=0.1)
