"""The command end to end: its files, its table, and its refusals."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image

from curate.cli.commands import evaluate
from curate.core.calibration import load_calibration
from curate.core.errors import ExitCode, InputError
from curate.evaluation.metrics import COUNTS, SCORES
from curate.settings.filter import FilterSettings


@pytest.fixture
def files(tmp_path):
    """A gold set, a good and a poor safeguard, and an unlabelled set."""
    rng = np.random.default_rng(0)
    unsafe = rng.random(120) < 0.4
    keys = [f"k{i}" for i in range(120)]
    gold = {
        "key": keys,
        "rating": np.where(unsafe, "Unsafe", "Safe"),
        "category": np.where(unsafe, "O6: Weapons or Substance Abuse", "NA: None applying"),
        "split": np.where(np.arange(120) % 2, "seen", "unseen"),
        "exception": ~unsafe & (rng.random(120) < 0.3),
    }
    pl.DataFrame(gold).write_parquet(tmp_path / "gold.parquet")
    for name, noise in (("good", 0.5), ("poor", 2.0)):
        p = 1 / (1 + np.exp(-(np.where(unsafe, 1, -1) + rng.normal(size=120) * noise)))
        rating = np.where(p >= 0.5, "Unsafe", "Safe")
        frame = pl.DataFrame({"key": keys, "rating": rating, "category": np.where(p >= 0.5, "O6", "NA"), "p_unsafe": p})
        frame.head(119).write_csv(tmp_path / f"{name}.csv")
    return tmp_path


def run(files, *arguments):
    return evaluate.main([f"gold={files / 'gold.parquet'}", *arguments])


@pytest.mark.slow
def test_one_safeguard_with_everything(files, capsys):
    code = run(
        files,
        f"predictions={files / 'good.csv'}",
        f"unlabelled={files / 'poor.csv'}",
        "recall=0.9",
        f"output.dir={files / 'out'}",
    )
    assert code == ExitCode.DONE
    metrics = json.loads((files / "out/metrics.json").read_text())
    assert set(COUNTS) | set(SCORES) <= set(metrics)
    assert metrics["n"] == 120
    assert metrics["invalid"] == {"missing": 1}
    assert set(metrics["by_split"]) == {"seen", "unseen"}
    assert set(metrics["by_category"]) == {"O6", "NA"}
    assert metrics["by_policy"] == {}
    assert metrics["operating_points"]["common"]["scores"]["recall"] >= 0.9
    assert 0 <= metrics["prevalence"]["unsafe"] <= 1
    rules = FilterSettings(**yaml.safe_load((files / "out/filter.yaml").read_text()))
    assert rules.thresholds.unsafe == metrics["operating_points"]["common"]["threshold"]
    assert FilterSettings(**yaml.safe_load((files / "out/filter-by-category.yaml").read_text())).by_category
    assert load_calibration(files / "out/calibration.json").method == "platt"
    for name in ("reliability.png", "roc.png", "precision-recall.png"):
        with Image.open(files / "out" / name) as image:
            assert image.width > 500
    assert "balanced accuracy" in capsys.readouterr().out
    report = (files / "out/evaluation.md").read_text()
    for heading in ("### By category", "### By split", "### Calibration", "### Operating point", "### Prevalence"):
        assert heading in report


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["repeated", "comma"])
def test_several_safeguards_side_by_side(files, spelling):
    good, poor = files / "good.csv", files / "poor.csv"
    given = [f"predictions={poor},{good}"] if spelling == "comma" else [f"predictions={poor}", f"predictions={good}"]
    run(files, *given, "cost_fn=5", "cost_fp=1")
    metrics = json.loads((files / "metrics.json").read_text())
    assert metrics["predictions"] == "poor"
    assert [other["predictions"] for other in metrics["others"]] == ["good"]
    (difference,) = metrics["differences"]
    by_hand = metrics["others"][0]["balanced_accuracy"] - metrics["balanced_accuracy"]
    assert difference["scores"]["balanced_accuracy"] == pytest.approx(by_hand)
    assert difference["intervals"]["balanced_accuracy"][0] > 0
    assert "## good against poor" in (files / "evaluation.md").read_text()
    assert (files / "filter.good.yaml").exists()
    assert (files / "calibration.poor.json").exists()


def test_ratings_alone_are_enough(files):
    pl.read_csv(files / "good.csv").select("key", "rating").write_csv(files / "bare.csv")
    assert run(files, f"predictions={files / 'bare.csv'}") == ExitCode.DONE
    metrics = json.loads((files / "metrics.json").read_text())
    assert metrics["calibration"] is None
    assert metrics["ranking"]["roc_area"] is None
    assert metrics["prevalence"] is None
    assert metrics["category_accuracy"] == 0
    assert not list(files.glob("*.png"))


@pytest.mark.slow
def test_running_again_writes_the_same(files):
    run(files, f"predictions={files / 'good.csv'}", "recall=0.8")
    first = {path.name: path.read_bytes() for path in files.iterdir()}
    run(files, f"predictions={files / 'good.csv'}", "recall=0.8")
    assert {path.name: path.read_bytes() for path in files.iterdir()} == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["threshold=0.5"], "predictions=, gold=, output.dir="),
        (["recall"], "recall: not an argument"),
        ([], "needs predictions="),
        (["predictions=x", "recall=high"], "not a number"),
        (["predictions=x", "recall=1.5"], "up to 1"),
        (["predictions=x", "recall=nan"], "up to 1"),
        (["predictions=x", "recall=0.9", "cost_fn=1"], "no costs"),
        (["predictions=x", "cost_fn=1"], "cost_fp="),
        (["predictions=x", "cost_fn=-1", "cost_fp=1"], "above 0"),
        (["predictions=x", "calibration=magic"], "isotonic"),
        (["predictions=x", "predictions=y", "unlabelled=z"], "one safeguard"),
        (["predictions=absent.csv"], "no such predictions"),
    ],
)
def test_refusals_are_one_line(files, arguments, message):
    with pytest.raises(InputError) as error:
        run(files, *arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
