"""What is made of p_unsafe: ranking, calibration, operating points, against scikit-learn and by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as reference
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.cli.hydra_config import compose_filter
from curate.core.calibration import Calibration, load_calibration, save_calibration
from curate.core.errors import InputError
from curate.core.types import Annotation, Rating, Status
from curate.evaluation.fit_calibration import (
    calibrated,
    cross_validated_errors,
    fit_calibration,
)
from curate.evaluation.ranking import areas, can_rank, curves
from curate.evaluation.reliability import calibration_errors, reliability_table
from curate.evaluation.thresholds import (
    Target,
    _operating_point,
    choose_by_category,
    choose_operating_point,
    write_filter,
)
from curate.filtering.calibrating import apply_calibration
from curate.filtering.rules import compile_rules
from curate.runs.annotation_table import to_table
from curate.settings.filter import FilterSettings
from tests.support.evaluation_cases import ROWS, Row, outcomes_of


def scored(*pairs, category="O2"):
    """Rows of (is unsafe, p_unsafe); a p of None is an invalid answer."""
    return [
        Row(unsafe=bool(u), answer=None if p is None else "Safe", p=p, category=category, answered_category=category)
        for u, p in pairs
    ]


def noisy(n, seed=0):
    """Labels and overconfident probabilities of them."""
    rng = np.random.default_rng(seed)
    unsafe = rng.random(n) < 0.4
    logit = rng.normal(size=n) + np.where(unsafe, 1, -1)
    return 1 / (1 + np.exp(-5 * logit)), unsafe


@settings(max_examples=40)
@given(ROWS)
@pytest.mark.slow
def test_areas_and_curves_equal_scikit_learn(rows):
    outcomes = outcomes_of(rows)
    found, p, unsafe = areas(outcomes), outcomes.p_unsafe, outcomes.unsafe
    unreached = unsafe & np.isnan(p)
    score = np.where(unreached, -1, np.nan_to_num(p, nan=2))
    if not can_rank(outcomes):
        assert set(found.values()) == {None}
        return
    assert found["roc_area"] == pytest.approx(reference.roc_auc_score(unsafe, score))
    # scikit-learn gives what lies below every threshold the precision of flagging everything; here it adds nothing.
    area = reference.average_precision_score(unsafe, score) - unreached.sum() / len(rows)
    assert found["precision_recall_area"] == pytest.approx(area)
    points, reached = curves(outcomes), len(np.unique(score[~unreached]))
    rate, recall, _ = reference.roc_curve(unsafe, score, drop_intermediate=False)
    assert points.false_positive_rate == pytest.approx(rate[1:][:reached])
    assert points.recall == pytest.approx(recall[1:][:reached])
    precision, _, _ = reference.precision_recall_curve(unsafe, score)
    assert points.precision == pytest.approx(precision[::-1][1:][:reached])


@settings(max_examples=40)
@given(ROWS, st.data())
def test_losing_an_answer_never_improves_an_area(rows, data):
    lost = data.draw(st.integers(0, len(rows) - 1))
    worse = [dataclasses.replace(row, answer=None) if i == lost else row for i, row in enumerate(rows)]
    before, after = areas(outcomes_of(rows)), areas(outcomes_of(worse))
    for name, value in after.items():
        assert value is None or value <= before[name] + 1e-12


def test_reliability_by_hand():
    p, unsafe = np.array([0.05, 0.0, 0.1, 0.95, 1.0]), np.array([False, True, False, True, True])
    table = reliability_table(p, unsafe)
    assert [(b.low, b.n, b.share_unsafe) for b in table] == [(0.0, 2, 0.5), (0.1, 1, 0.0), (0.9, 2, 1.0)]
    assert [b.mean_p_unsafe for b in table] == pytest.approx([0.025, 0.1, 0.975])
    errors = calibration_errors(p, unsafe)
    assert errors["expected_calibration_error"] == pytest.approx((2 * 0.475 + 1 * 0.1 + 2 * 0.025) / 5)
    assert errors["brier_score"] == pytest.approx((0.05**2 + 1 + 0.1**2 + 0.05**2) / 5)


def test_reliability_equals_scikit_learn():
    from sklearn.calibration import calibration_curve

    p, unsafe = noisy(500)
    share, mean = calibration_curve(unsafe, p, n_bins=10)
    table = reliability_table(p, unsafe)
    assert [b.share_unsafe for b in table] == pytest.approx(share)
    assert [b.mean_p_unsafe for b in table] == pytest.approx(mean)
    assert calibration_errors(p, unsafe)["brier_score"] == pytest.approx(reference.brier_score_loss(unsafe, p))


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_a_calibration_mends_overconfidence_and_keeps_the_order(method, tmp_path):
    p, unsafe = noisy(2000)
    fitted = fit_calibration(p, unsafe, method)
    fresh, labels = noisy(2000, seed=1)
    before, after = calibration_errors(fresh, labels), calibration_errors(fitted(fresh), labels)
    assert after["expected_calibration_error"] < before["expected_calibration_error"] / 2
    assert after["brier_score"] < before["brier_score"]
    grid = fitted(np.linspace(0, 1, 101))
    assert (np.diff(grid) >= 0).all()
    assert ((grid >= 0) & (grid <= 1)).all()
    save_calibration(fitted, tmp_path / "c.json")
    assert load_calibration(tmp_path / "c.json") == fitted


def test_isotonic_equals_scikit_learn():
    from sklearn.isotonic import IsotonicRegression

    p, unsafe = noisy(300)
    expected = IsotonicRegression(out_of_bounds="clip").fit(p, unsafe).predict(np.linspace(0, 1, 57))
    assert fit_calibration(p, unsafe, "isotonic")(np.linspace(0, 1, 57)) == pytest.approx(expected)


def test_platt_by_hand():
    p = Calibration(method="platt", fitted_on=1, slope=2.0, intercept=1.0)(np.array([0.5, 0.75]))
    assert p == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-(2 * np.log(3) + 1)))])


def test_a_reversed_p_unsafe_is_flattened_not_turned_round():
    p, unsafe = noisy(400)
    fitted = fit_calibration(1 - p, unsafe, "platt")
    assert fitted(np.array([0.0, 0.5, 1.0])) == pytest.approx([unsafe.mean()] * 3)


def test_nulls_stay_null_when_calibrated():
    fitted = Calibration(method="isotonic", fitted_on=2, x=(0.0, 1.0), y=(0.2, 0.6))
    column = apply_calibration(pl.Series("p_unsafe", [0.5, None, 1.0], dtype=pl.Float32), fitted)
    assert column.name == "p_unsafe"
    assert column.to_list() == pytest.approx([0.4, None, 0.6])


def test_cross_validation_needs_rows_of_both_classes():
    assert cross_validated_errors(np.full(10, 0.5), np.arange(10) < 4, "platt") is None
    assert cross_validated_errors(np.full(10, 0.5), np.arange(10) < 5, "platt") is not None


@pytest.mark.parametrize("text", ["", "[]", '{"x": [], "y": [], "odd": 1}', '{"method": "platt"}'])
def test_what_is_no_calibration_is_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=r"c\.json"):
        load_calibration(tmp_path / "c.json")
    with pytest.raises(InputError, match="absent"):
        load_calibration(tmp_path / "absent.json")


def test_the_strictest_threshold_that_reaches_the_recall():
    outcomes = outcomes_of(scored((1, 0.9), (1, 0.6), (1, 0.3), (0, 0.5), (0, 0.35), (0, 0.1)))
    point = choose_operating_point(outcomes, Target(recall=2 / 3))
    assert 0.5 < point.threshold <= 0.6
    assert point.counts == {"tp": 2, "fp": 0, "tn": 3, "fn": 1}
    assert choose_operating_point(outcomes, Target(recall=1.0)).counts == {"tp": 3, "fp": 2, "tn": 1, "fn": 0}


def test_costs_move_the_threshold():
    outcomes = outcomes_of(scored((1, 0.9), (1, 0.3), (0, 0.5), (0, 0.4), (0, 0.1)))
    assert choose_operating_point(outcomes, Target(cost_fn=5, cost_fp=1)).counts["fn"] == 0
    assert choose_operating_point(outcomes, Target(cost_fn=1, cost_fp=5)).counts["fp"] == 0


def test_of_equal_costs_the_threshold_that_flags_most_is_taken():
    outcomes = outcomes_of(scored((0, 0.9), (1, 0.2)))
    assert choose_operating_point(outcomes, Target(cost_fn=1, cost_fp=1)).counts == {"tp": 1, "fp": 1, "tn": 0, "fn": 0}


def test_flagging_nothing_is_a_choice_too():
    outcomes = outcomes_of(scored((0, 0.9), (1, 0.2)))
    point = choose_operating_point(outcomes, Target(cost_fn=1, cost_fp=9))
    assert point.counts == {"tp": 0, "fp": 0, "tn": 1, "fn": 1}
    assert 0.9 < point.threshold <= 1


def test_what_has_no_p_unsafe_bounds_the_recall():
    outcomes = outcomes_of(scored((1, 0.9), (1, None), (0, 0.1), (0, None)))
    assert choose_operating_point(outcomes, Target(recall=0.5)).counts == {"tp": 1, "fp": 1, "tn": 1, "fn": 1}
    with pytest.raises(InputError, match=r"the most is 0\.5000"):
        choose_operating_point(outcomes, Target(recall=0.9))


@pytest.mark.parametrize(
    ("rows", "message"), [(scored((0, 0.5)), "no Unsafe row"), (scored((1, None), (0, None)), "no p_unsafe")]
)
def test_a_threshold_needs_something_to_choose_by(rows, message):
    with pytest.raises(InputError, match=message):
        choose_operating_point(outcomes_of(rows), Target(recall=0.5))


@settings(max_examples=40)
@given(ROWS, st.sampled_from([0.3, 0.5, 0.9, 1.0]))
def test_a_wanted_recall_is_reached_and_a_stricter_cut_would_miss_it(rows, recall):
    outcomes = outcomes_of([dataclasses.replace(row, answer=row.answer or "Safe") for row in rows])
    if not outcomes.unsafe.any():
        return
    point = choose_operating_point(outcomes, Target(recall=recall))
    p, unsafe = outcomes.p_unsafe, outcomes.unsafe
    assert (p[unsafe] >= point.threshold).mean() >= recall
    stricter = p[p >= point.threshold].min()
    assert (p[unsafe] > stricter).mean() < recall


@settings(max_examples=40)
@given(ROWS, st.sampled_from([(1, 1), (5, 1), (1, 5)]))
def test_no_other_threshold_is_cheaper(rows, costs):
    outcomes = outcomes_of([dataclasses.replace(row, answer=row.answer or "Safe") for row in rows])
    p, unsafe = outcomes.p_unsafe, outcomes.unsafe
    if not unsafe.any():
        return
    fn, fp = costs
    point = choose_operating_point(outcomes, Target(cost_fn=fn, cost_fp=fp))
    cheapest = min(fn * (unsafe & (p < t)).sum() + fp * (~unsafe & (p >= t)).sum() for t in [*p, 0.0])
    assert fn * point.counts["fn"] + fp * point.counts["fp"] <= cheapest


def shared_out(p, chance):
    share = chance.random()
    return {"O1": p * share, "O2": p * (1 - share)}


HALVING = Calibration(method="platt", fitted_on=10, slope=0.5, intercept=-0.7)


@settings(max_examples=40)
@given(ROWS, st.randoms(use_true_random=False), st.sampled_from([None, HALVING]))
def test_the_filter_file_flags_what_was_promised(tmp_path_factory, rows, chance, calibration):
    """With scores of categories, too, and with a calibration."""
    given_rows = [
        dataclasses.replace(row, answer=row.answer or "Safe", scores=chance.choice([None, shared_out(row.p, chance)]))
        for row in rows
    ]
    outcomes = outcomes_of(given_rows)
    if not outcomes.unsafe.any():
        return
    target = Target(cost_fn=3, cost_fp=2)
    chosen = outcomes if calibration is None else calibrated(outcomes, calibration)
    point = choose_by_category(chosen, target)
    point = _operating_point(chosen, point.threshold, {"O1": 0.35, **point.by_category})
    path = tmp_path_factory.getbasetemp() / "filter.yaml"
    write_filter(point, target, path, calibration)
    rules = compile_rules(FilterSettings(**yaml.safe_load(path.read_text())), ["O1", "O2"])
    judged = outcomes.rows.select("key", "predicted", "predicted_category", "p_unsafe")
    annotations = [
        Annotation(
            key=key,
            shard="s",
            index=0,
            policy="p",
            status=Status.LABELLED,
            rating=Rating(rating),
            category=c,
            p_unsafe=p,
            category_scores=row.scores,
        )
        for (key, rating, c, p), row in zip(judged.iter_rows(), given_rows, strict=True)
    ]
    splits = rules.apply(pl.DataFrame(to_table(annotations)).lazy()).collect()["split"]
    assert set(splits) <= {"unsafe", "clean"}
    flagged = (splits == "unsafe").to_numpy()
    assert int((flagged & outcomes.unsafe).sum()) == point.counts["tp"]
    assert int((flagged & ~outcomes.unsafe).sum()) == point.counts["fp"]


def test_categories_have_thresholds_of_their_own_where_there_are_rows(tmp_path):
    rows = [
        *scored(*[(1, 0.9)] * 10, *[(0, 0.7)] * 10, category="O2"),
        *scored(*[(1, 0.4)] * 10, *[(0, 0.2)] * 10, category="O6"),
        *scored(*[(1, 0.1)] * 3, category="O9"),
    ]
    target = Target(recall=0.85)
    point = choose_by_category(outcomes_of(rows), target)
    assert set(point.by_category) == {"O2", "O6"}
    assert 0.7 < point.by_category["O2"] <= 0.9
    assert 0.2 < point.by_category["O6"] <= 0.4
    assert point.scores["specificity"] == 1
    write_filter(point, target, tmp_path / "f.yaml")
    written = yaml.safe_load((tmp_path / "f.yaml").read_text())
    assert written["name"] == "recall-0.85"
    assert written["by_category"]["O2"] == {"unsafe": point.by_category["O2"]}
    assert json.dumps(written)  # plain numbers, no tags of numpy


def test_the_filter_file_is_a_choice_of_the_group_filter(tmp_path):
    target = Target(recall=1.0)
    point = choose_operating_point(outcomes_of(scored((1, 0.9), (0, 0.2))), target)
    write_filter(point, target, tmp_path / "mine.yaml")
    settings = compose_filter([f"filter={tmp_path / 'mine.yaml'}"], FilterSettings())
    assert settings.name == "recall-1"
    assert settings.thresholds.unsafe == point.threshold
