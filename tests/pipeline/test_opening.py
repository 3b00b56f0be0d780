"""How a run begins and goes on: keys of rows that have none, and what it says of labels that no model gave."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import yaml

from curate.cli.program import main
from tests.support.jobs import picture, rows, split_rows

FAKE = ["engine=fake", "engine.workers=0"]


def write(path: Path, seeds: range) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    table = {"image": [{"bytes": picture(n), "path": None} for n in seeds], "label": [n % 2 for n in seeds]}
    path.parent.mkdir(exist_ok=True)
    datasets.Dataset.from_dict(table, features=features).to_parquet(path)


@pytest.fixture
def run(tmp_path):
    """Two files of one name; what begins or goes on with a run over them."""
    write(tmp_path / "one" / "0.parquet", range(4))
    write(tmp_path / "two" / "0.parquet", range(4, 8))

    def go(*more: str, files: str = "{one,two}") -> int:
        place = [f"dataset.shards={tmp_path}/{files}/0.parquet", f"output.dir={tmp_path}/run"]
        return main(["run", "+dataset=parquet", *place, *FAKE, "dataset.label=label", *more])

    return go


@pytest.mark.slow
def test_keys_are_unique_over_a_run_and_classes_have_names(tmp_path, run):
    assert run() == 0
    found = rows(tmp_path / "run")
    assert len({row["key"] for row in found}) == 8
    assert all(row["key"] == f"{row['shard']}/{row['index']:09d}" for row in found)
    assert [json.loads(row["meta"])["label"] for row in found[:4]] == ["cat", "dog"] * 2
    copied = [row for split in ("clean", "unsafe", "review") for row in split_rows(tmp_path / "run", split)]
    assert {row["key"] for row in copied} == {row["key"] for row in found}
    assert main(["verify", f"output.dir={tmp_path}/run"]) == 0


@pytest.mark.slow
def test_a_run_that_began_with_numbers_goes_on_with_them(tmp_path, run, capsys):
    assert run("dataset.row_names=numbers", files="one") == 0
    recorded = yaml.safe_load((tmp_path / "run/run.yaml").read_text())
    del recorded["settings"]["dataset"]["row_names"]  # there was no such choice
    (tmp_path / "run/run.yaml").write_text(yaml.safe_dump(recorded))
    assert main(["verify", f"output.dir={tmp_path}/run"]) == 0
    assert main(["filter", f"output.dir={tmp_path}/run", "filter.thresholds.unsafe=0.2"]) == 0
    assert run("extend=true") == 0
    found = rows(tmp_path / "run")
    assert [row["key"] for row in found] == [f"{n:09d}" for n in range(4)] * 2
    assert {json.loads(row["meta"])["label"] for row in found} == {0, 1}
    assert main(["verify", f"output.dir={tmp_path}/run"]) == 0
    capsys.readouterr()
    assert run("dataset.row_names=full") == 2
    said = capsys.readouterr().err
    assert "dataset.row_names=full: was numbers" in said
    assert f"reuse={tmp_path}/run" in said


@pytest.mark.slow
def test_labels_of_a_run_with_numbers_are_reused(tmp_path, run):
    assert run("dataset.row_names=numbers") == 0
    (tmp_path / "run").rename(tmp_path / "old")
    assert run(f"reuse={tmp_path}/old") == 0
    found = rows(tmp_path / "run")
    assert all(row["reused_from"] for row in found)
    assert all(row["key"].startswith(row["shard"]) for row in found)


@pytest.mark.parametrize("write", ["parquet", "webdataset"])
@pytest.mark.slow
def test_labels_that_no_model_gave_are_called_so_everywhere(tmp_path, run, capsys, write):
    assert run("model.rationale=none", f"filter.write={write}") == 0
    said = "Labels are drawn from a hash (engine=fake) and say nothing of the pictures; builtin was not asked."
    assert said in " ".join(capsys.readouterr().out.split())
    cards = list((tmp_path / "run").rglob("README.md"))
    assert len(cards) == (1 if write == "parquet" else 1 + len(list((tmp_path / "run/splits").iterdir())))
    assert all(said in card.read_text() for card in cards)
    files = list((tmp_path / "run/annotations").rglob("*.parquet"))
    assert all(pq.read_schema(file).metadata[b"labels"] == b"drawn from a hash" for file in files)
    assert main(["compact", f"output.dir={tmp_path}/run"]) == 0
    assert main(["verify", f"output.dir={tmp_path}/run"]) == 0
