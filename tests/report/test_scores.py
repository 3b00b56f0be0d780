"""An evaluation in a run's folder, as `evaluate` writes it."""

from __future__ import annotations

import pytest

from curate.cli.program import main
from curate.report.scores import read_evaluation
from curate.storage.local_store import LocalStore
from tests.support.jobs import fake_run, rows, write_tar


def test_none_and_what_is_not_ours(tmp_path):
    store = LocalStore(tmp_path)
    assert read_evaluation(store) is None
    for other in (b"{}", b"[]", b"no json", b'{"gold": 3, "n": 1}'):
        store.replace("metrics.json", other)
        assert read_evaluation(store) is None


@pytest.mark.slow
def test_scores_of_a_run_are_in_its_report(tmp_path):
    place = tmp_path / "run"
    assert main(fake_run(str(write_tar(tmp_path / "a.tar", range(60))), place)) == 0
    gold = "\n".join(f"{row['key']},{'Unsafe' if n % 2 else 'Safe'},O6" for n, row in enumerate(rows(place)))
    (tmp_path / "gold.csv").write_text(f"key,rating,category\n{gold}\n")
    assert main(["evaluate", f"predictions={place}", f"gold={tmp_path}/gold.csv"]) == 0
    found = read_evaluation(LocalStore(place))
    assert found.counts["n"] == 60
    by_name = {score.name: score for score in found.scores}
    balanced = by_name["balanced accuracy"]
    assert balanced.low <= balanced.value <= balanced.high
    assert main(["report", f"output.dir={place}"]) == 0
    text = (place / "report.html").read_text(encoding="utf-8")
    assert "Against a gold set" in text
    assert "Recall by category" in text
