"""The facts of a run, held against what its rows and the filter stage itself say."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
import webdataset

from curate.cli.program import main
from curate.core.errors import InputError
from curate.filtering.decide import decide
from curate.filtering.rules import compile_rules
from curate.report.facts import Facts, gather
from curate.report.tallies import GRID, Nearest, Sizes
from curate.runs.annotation_table import scanned
from curate.runs.run_folder import load_run
from tests.support.jobs import fake_run, picture, rows, write_tar
from tests.support.verification_cases import edit_rows

MANY = 60


def shards_of(folder):
    """Three shards of `MANY` samples, one of them broken in each, and one of samples of two pictures."""
    with webdataset.TarWriter(str(folder / "3.tar"), mtime=0) as writer:
        for seed in range(500, 530):
            pictures = {"left.jpg": picture(seed), "right.jpg": picture(seed + 100)}
            fields = json.dumps({"url": f"http://example.org/{seed}"}).encode()
            writer.write({"__key__": f"{seed:09d}", **pictures, "json": fields})
    for number in range(3):
        write_tar(folder / f"{number}.tar", range(number * MANY, number * MANY + MANY), broken={number * MANY + 5: b""})
    return f"{folder}/{{0..3}}.tar"


def spread(row):
    """Probabilities all over the scale, the borders and none at all among them; the fake gives a few."""
    seed = int(row["key"]) + 7 * (row["image_name"] == "right.jpg")
    p = None if seed % 23 == 0 else float(np.float32([0, 1, 0.3, 0.5, seed * 7919 % 1000 / 1000][seed % 5]))
    if row["status"] != "labelled":
        return row
    unsafe = p is not None and p > 0.5
    category = {"category": f"O{seed % 3 + 1}"} if unsafe else {"category": "NA"}
    return row | {"p_unsafe": p, "rating": "Unsafe" if unsafe else "Safe"} | category


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two policies whose probabilities are spread, split again after that."""
    data = tmp_path_factory.mktemp("data")
    place = data / "run"
    arguments = fake_run(shards_of(data), place, "policies=[drawings,kids]", "dataset.label=url")
    assert main(arguments) == 0
    for path in place.glob("annotations/*/*.parquet"):
        edit_rows(path, lambda read: [spread(row) for row in read])
    assert main(["filter", f"output.dir={place}", "filter.thresholds.unsafe=0.6", "filter.thresholds.review=0.2"]) == 0
    return place


@pytest.fixture(scope="module")
def facts(folder) -> Facts:
    return gather(load_run(folder), plain=False)


def split_at(facts: Facts, threshold: float) -> Counter[str]:
    """What the filter stage itself would have in each split."""
    thresholds = facts.rules.thresholds.model_copy(update={"unsafe": threshold})
    rules = facts.rules.model_copy(update={"thresholds": thresholds})
    # Rules with an empty band for review are refused where people write them.
    empty = threshold <= facts.rules.thresholds.review
    compiled = compile_rules(facts.rules, None).with_unsafe_from(threshold) if empty else compile_rules(rules, None)
    found = Counter[str]()
    folder = facts.run.settings.output.dir
    for shard in facts.run.plan.shards:
        paths = {p: f"{folder}/annotations/{p}/{shard.id}.parquet" for p in facts.deciding}
        decided = decide({p: scanned(path) for p, path in paths.items()}, compiled, rules)
        found.update(decided.collect()["split"])
    return found


@pytest.mark.slow
def test_other_thresholds_would_have_done_what_the_filter_stage_does(facts):
    kept, unsafe = facts.tradeoff.kept(), facts.tradeoff.unsafe()
    for step in (0, 1, 10, 20, 29, 30, 31, 50, 51, 60, 77, 99, 100):
        found = split_at(facts, float(GRID[step]))
        assert (kept[step], unsafe[step]) == (found["clean"], found["unsafe"]), step
    splits = facts.splitting.result.splits
    assert (kept[60], unsafe[60], facts.tradeoff.total) == (splits["clean"], splits["unsafe"], sum(splits.values()))


@pytest.mark.slow
def test_probabilities_are_those_of_the_rows(facts, folder):
    for one in facts.passes:
        read = [row for row in rows(folder, one.name) if row["status"] == "labelled"]
        for rating, cells in one.probabilities.cells.items():
            p = [row["p_unsafe"] for row in read if row["rating"] == rating and row["p_unsafe"] is not None]
            assert cells.sum() == len(p)
            assert cells[30:].sum() == sum(np.float32(value) >= np.float32(0.3) for value in p)
        assert one.probabilities.unscored == sum(row["p_unsafe"] is None for row in read)


@pytest.mark.slow
def test_the_nearest_rows_are_nearest(facts, folder):
    for one in facts.passes:
        read = [row for row in rows(folder, one.name) if row["p_unsafe"] is not None]
        distances = sorted(abs(np.float32(row["p_unsafe"]) - np.float32(0.6)) for row in read)
        found = [abs(np.float32(example.p_unsafe) - np.float32(0.6)) for example in one.nearest]
        assert found == pytest.approx(distances[: len(found)], abs=1e-6)


@pytest.mark.slow
def test_every_kind_has_samples_and_they_are_rows_of_it(facts, folder):
    for one in facts.passes:
        by_place = {(row["shard"], row["index"], row["image_name"]): row for row in rows(folder, one.name)}
        kinds = Counter(example.kind for example in one.examples)
        labelled = [row for row in by_place.values() if row["status"] == "labelled"]
        assert kinds == {
            kind: min(3, number)
            for kind, number in Counter(f"{r['rating']}\n{r['category']}" for r in labelled).items()
        }
        for example in (*one.examples, *one.failures):
            row = by_place[example.shard, example.index, example.image_name]
            assert (example.key, example.sha256, example.status) == (row["key"], row["sha256"], row["status"])
            assert example.url == f"http://example.org/{int(row['key'])}"


@pytest.mark.slow
def test_removals_are_counted_by_host_and_size_over_all_samples(facts):
    assert facts.hosts.whole
    (host,) = facts.hosts.top
    result = facts.splitting.result
    assert (host, facts.hosts.top[host].samples) == ("example.org", result.samples)
    assert facts.hosts.top[host].removed == result.removed
    assert facts.sizes.samples.sum() == result.samples - 3  # those without a picture
    assert facts.sizes.removed.sum() == result.removed - 3


@pytest.mark.slow
def test_a_compacted_run_says_the_same(facts, folder):
    before = [(one.probabilities.cells["Safe"].tolist(), [e.key for e in one.examples]) for one in facts.passes]
    assert main(["compact", f"output.dir={folder}"]) == 0
    after = gather(load_run(folder), plain=False)
    assert before == [(one.probabilities.cells["Safe"].tolist(), [e.key for e in one.examples]) for one in after.passes]
    assert after.tradeoff.kept().tolist() == facts.tradeoff.kept().tolist()


@pytest.mark.slow
def test_nothing_judged_is_said_in_one_line(tmp_path):
    assert main(fake_run(str(write_tar(tmp_path / "a.tar", range(3))), tmp_path / "run")) == 0
    for path in (tmp_path / "run" / "commits").rglob("*.json"):
        path.unlink()
    with pytest.raises(InputError, match="no shard is judged yet; start `run` before `report`"):
        gather(load_run(tmp_path / "run"), plain=False)


@pytest.mark.slow
def test_windows_of_any_size_come_to_the_same():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "index": np.arange(500),
            "image_name": pl.Series([None] * 500, dtype=pl.String),
            "status": ["labelled"] * 500,
            "p_unsafe": rng.random(500).astype(np.float32),
            "width": rng.integers(10, 2000, 500).astype(np.int32),
            "height": rng.integers(10, 2000, 500).astype(np.int32),
            "split": ["clean", "unsafe"] * 250,
        }
    )
    found = []
    for step in (500, 37, 1):
        nearest, sizes = Nearest(0.5, 7), Sizes()
        for start in range(0, 500, step):
            nearest.take("s", frame[start : start + step])
            sizes.take(frame[start : start + step])
        found.append((nearest.places().rows(), sizes.samples.tolist(), sizes.removed.tolist()))
    assert found[0] == found[1] == found[2]
    assert len(found[0][0]) == 7
    assert sum(found[0][1]) == 500
