"""The filter command on a run that the command line made, and the rule sets that ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.cli.hydra_config import compose_filter, group_names
from curate.cli.program import main
from curate.core.errors import ExitCode
from curate.filtering.stage import check_settings
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings
from tests.support.filtering_cases import DEFAULT_RULES, policy
from tests.support.jobs import fake_run, write_tar


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with the fake engine, which needs no more of a model than that it is there."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"architectures": ["LlavaOnevisionForConditionalGeneration"]}')
    (tmp_path / "model/model.safetensors").touch()
    shard = write_tar(tmp_path / "00000.tar", range(20))
    arguments = fake_run(str(shard), tmp_path / "run", "model=local", f"model.path={tmp_path / 'model'}")
    assert main(arguments) == ExitCode.DONE
    return tmp_path / "run"


def _splits(folder: Path) -> dict[str, int]:
    (manifest,) = (folder / "tables").glob("*.json")
    return json.loads(manifest.read_text())["result"]["splits"]


def test_filter_splits_again_without_judging(folder: Path, capsys: pytest.CaptureFixture[str]):
    before = {path: path.read_bytes() for path in (folder / "annotations").rglob("*.parquet")}
    at_first = _splits(folder)
    override = "+filter.splits.rest='p_unsafe >= 0'"
    assert (
        main(["filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.95", "filter.splits.clean=false", override])
        == 2
    )
    assert "filter.splits.clean: can hold no row" in capsys.readouterr().err
    assert _splits(folder) == at_first
    assert (
        main(["filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.999", "filter.thresholds.review=0.001"])
        == 0
    )
    assert _splits(folder)["review"] > at_first["review"] == 0
    assert f"review {_splits(folder)['review']}" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in (folder / "annotations").rglob("*.parquet")}


def test_filter_refuses_what_would_change_labels(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["filter", f"output.dir={folder}", "model.rationale=none"]) == ExitCode.INPUT
    assert "would change labels" in capsys.readouterr().err


@pytest.mark.parametrize("name", group_names("filter"))
def test_rule_sets_that_ship_are_sound(name: str):
    settings = compose_filter([f"filter={name}"], FilterSettings(splits=DEFAULT_RULES))
    assert settings.name == name
    dataset = DatasetSettings(name="any", shards=["0.tar"])
    assert check_settings(settings, dataset, {"house": policy("house")}).splits[-1] == "clean"
