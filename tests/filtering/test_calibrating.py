"""A calibration from `evaluate` to the splits: applied before every rule, shown, checked, refused where foreign."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from curate.cli.program import main
from curate.core.calibration import Calibration, load_calibration, save_calibration
from tests.support.jobs import fake_run, rows, split_rows, write_tar

SAMPLES = 120


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Path:
    """A run, and beside it a gold set under which its probabilities are far too high."""
    folder = tmp_path_factory.mktemp("judged")
    write_tar(folder / "00000.tar", range(SAMPLES), broken={5: b""})
    assert main(fake_run(str(folder / "00000.tar"), folder / "run")) == 0
    found = rows(folder / "run")
    chance = np.random.default_rng(0)
    unsafe = [r["p_unsafe"] is not None and chance.random() < r["p_unsafe"] ** 3 for r in found]
    ratings = ["Unsafe" if one else "Safe" for one in unsafe]
    pq.write_table(pa.table({"key": [r["key"] for r in found], "rating": ratings}), folder / "gold.parquet")
    return folder


@pytest.fixture(scope="module")
def out(judged) -> Path:
    """What `evaluate` wrote about the run, with a calibration and thresholds for calibrated probabilities."""
    given = [f"predictions={judged / 'run'}", f"gold={judged / 'gold.parquet'}", f"output.dir={judged / 'out'}"]
    assert main(["evaluate", *given, "recall=0.9", "calibrated=true"]) == 0
    return judged / "out"


@pytest.fixture(scope="module")
def own(out) -> Calibration:
    """The calibration that fits the run."""
    return load_calibration(out / "calibration.json")


def filtered(judged: Path, *overrides: str, code: int = 0) -> dict[str, list[dict[str, object]]]:
    """The rows of each split after `filter`."""
    assert main(["filter", f"output.dir={judged / 'run'}", *overrides]) == code
    return {split: split_rows(judged / "run", split) for split in ("clean", "review", "unsafe", "failed")}


def by_hand(calibration: Calibration, p: object) -> np.float32:
    """Calibrated by the formulas of the two methods, as float32."""
    if calibration.method == "isotonic":
        return np.float32(np.interp(p, calibration.x, calibration.y))
    inside = np.clip(float(str(p)), 1e-6, 1 - 1e-6)
    return np.float32(1 / (1 + np.exp(-(calibration.slope * np.log(inside / (1 - inside)) + calibration.intercept))))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_thresholds_are_held_against_calibrated_probabilities(judged, own, tmp_path, method, capsys):
    steps = {"method": "isotonic", "x": (0.1, 0.5, 0.6, 1.0), "y": (0.0, 0.2, 0.2, 0.8)}
    calibration = own if method == "platt" else own.model_copy(update=steps)
    save_calibration(calibration, tmp_path / "calibration.json")
    cut = ("filter.thresholds.unsafe=0.4", "filter.thresholds.review=0.1")
    splits = filtered(judged, f"filter.calibration={tmp_path / 'calibration.json'}", *cut)
    assert capsys.readouterr().err == ""
    for split, low, high in (("clean", 0.0, 0.1), ("review", 0.1, 0.4), ("unsafe", 0.4, 1.1)):
        assert splits[split], split
        for row in splits[split]:
            assert row["p_calibrated"] == pytest.approx(by_hand(calibration, row["p_unsafe"]), abs=1e-6)
            assert np.float32(low) <= row["p_calibrated"] < np.float32(high)
    as_judged = {r["key"]: r["p_unsafe"] for r in rows(judged / "run")}
    assert {r["key"]: r["p_unsafe"] for split in splits.values() for r in split} == as_judged
    assert [r["p_calibrated"] for r in splits["failed"]] == [None]
    card = " ".join((judged / "run/README.md").read_text().split())
    assert f"calibrated probabilities (`p_calibrated`): {method}, fitted on 119 gold rows under drawings." in card
    assert main(["verify", f"output.dir={judged / 'run'}"]) == 0


def test_conditions_see_calibrated_probabilities_too(judged, tmp_path):
    save_calibration(Calibration(method="isotonic", fitted_on=9, x=(0.0, 1.0), y=(0.0, 0.5)), tmp_path / "half.json")
    rule = "filter.splits.unsafe='p_unsafe >= 0.3'"
    splits = filtered(
        judged, f"filter.calibration={tmp_path / 'half.json'}", rule, "filter.splits.clean='p_unsafe < 0.3'"
    )
    assert splits["unsafe"]
    assert splits["clean"]
    assert not splits["review"]
    assert all(r["p_unsafe"] >= 0.6 for r in splits["unsafe"])
    assert all(r["p_unsafe"] < 0.6 for r in splits["clean"])


def test_the_filter_file_of_evaluate_carries_its_calibration_and_does_what_it_says(judged, out, own):
    point = json.loads((out / "metrics.json").read_text())["operating_points"]
    assert point["calibrated"]
    rules = yaml.safe_load((out / "filter.yaml").read_text())
    assert Calibration(**rules["calibration"]) == own
    splits = filtered(judged, f"filter={out / 'filter.yaml'}")
    gold = {r["key"]: r["rating"] for r in pq.read_table(judged / "gold.parquet").to_pylist()}
    flagged = [gold[str(r["key"])] for r in splits["unsafe"]]
    # What was not judged counts as wrong there: a Safe row as flagged, though it is in no split that says so.
    assert flagged.count("Unsafe") == point["common"]["counts"]["tp"]
    assert flagged.count("Safe") + 1 == point["common"]["counts"]["fp"]
    assert len({r["p_calibrated"] >= np.float32(point["common"]["threshold"]) for r in splits["unsafe"]}) == 1


@pytest.mark.slow
def test_a_calibration_can_be_taken_off_again(judged, out):
    filtered(judged, f"filter={out / 'filter.yaml'}")
    splits = filtered(judged, "filter.calibration=null")
    assert {r["p_calibrated"] for split in splits.values() for r in split} == {None}


@pytest.mark.slow
def test_a_row_that_calibrated_rules_put_elsewhere_is_a_violation(judged, out, capsys):
    filtered(judged, f"filter.calibration={out / 'calibration.json'}", "filter.thresholds.unsafe=0.4")
    (clean,), (unsafe,) = ((judged / "run").glob(f"splits/{split}/*.parquet") for split in ("clean", "unsafe"))
    before = clean.read_bytes(), unsafe.read_bytes()
    taken = pq.read_table(unsafe)
    pq.write_table(taken.slice(1), unsafe)
    pq.write_table(pa.concat_tables([pq.read_table(clean), taken.slice(0, 1)]), clean)
    assert main(["verify", f"output.dir={judged / 'run'}"]) == 4
    assert "is in clean, the rules put it into unsafe" in capsys.readouterr().out
    clean.write_bytes(before[0])
    unsafe.write_bytes(before[1])


@pytest.mark.slow
def test_a_calibration_of_another_model_is_refused_before_anything_starts(judged, own, tmp_path, capsys):
    save_calibration(own.model_copy(update={"judge": "0" * 16}), tmp_path / "foreign.json")
    override = f"filter.calibration={tmp_path / 'foreign.json'}"
    capsys.readouterr()
    filtered(judged, override, code=2)
    assert main(fake_run(str(judged / "00000.tar"), tmp_path / "new", override)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("fitted on another model or engine (judge 0000000000000000)" in line for line in lines)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ({"policies": {"kids": "1" * 16}}, "was fitted under kids, not under drawings as it is here"),
        ({"judge": None, "policies": {}}, "does not say what it was fitted on"),
    ],
)
def test_a_calibration_that_may_not_fit_is_applied_with_a_word(judged, own, tmp_path, capsys, origin, said):
    save_calibration(own.model_copy(update=origin), tmp_path / "other.json")
    capsys.readouterr()
    filtered(judged, f"filter.calibration={tmp_path / 'other.json'}")
    lines = capsys.readouterr().err.splitlines()  # on a busy machine it also says what took long
    (line,) = [line for line in lines if "filter.calibration" in line]
    assert said in line


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["filter.calibration=/nowhere.json"], "filter.calibration=/nowhere.json: no readable calibration"),
        (["+filter.fields.p_calibrated=float"], "filter.fields.p_calibrated: is a column already"),
        (["filter.calibration={method: platt, fitted_on: 0}"], "filter.calibration.fitted_on"),
    ],
)
def test_what_cannot_be_meant_is_one_line(judged, capsys, overrides, said):
    filtered(judged, *overrides, code=2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("argument", "said"),
    [("calibrated=true", "give recall=, or cost_fn="), ("calibrated=maybe", "give true or false")],
)
def test_evaluate_refuses_half_a_wish(judged, capsys, argument, said):
    assert main(["evaluate", f"predictions={judged / 'run'}", f"gold={judged / 'gold.parquet'}", argument]) == 2
    assert said in capsys.readouterr().err
