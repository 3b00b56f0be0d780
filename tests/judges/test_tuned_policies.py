"""A policy that the model was not tuned on is warned of, at the start and in the card; several of them are compared."""

from __future__ import annotations

import tarfile

import polars as pl
import pytest

from curate.cli.hydra_config import compose_policy, compose_settings
from curate.cli.program import main
from curate.judges.tuned_policies import rules_hash, untuned
from tests.support.jobs import write_tar

FAKE = ("engine=fake", "engine.workers=0")


def lines(*arguments):
    settings = compose_settings(["+dataset=laion_subset", *arguments])
    return list(untuned(settings.model, settings.policies.values()))


def test_the_built_in_safeguard_names_the_policy_that_it_was_tuned_on():
    policy, model = compose_policy(["policy=drawings"])
    assert model.tuned_on == {"drawings": rules_hash(policy)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], []),
        (["policy.categories.O6.enforced=false"], []),
        (["policy=kids"], ["kids"]),
        (["policies=[drawings,kids,medical]"], ["kids", "medical"]),
        (["policy.categories.O6.name=Things that hurt"], ["drawings"]),
        (["model=llavaguard_7b", "policy=kids"], []),
    ],
)
def test_only_policies_in_other_words_are_named(arguments, named):
    said = lines(*arguments)
    assert len(said) == len(named)
    for line, policy in zip(said, named, strict=True):
        assert f"not tuned on policy {policy}" in line


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "a.tar", range(40))
    return tmp_path


def run(data, capsys, *arguments):
    """What the terminal said, and the card."""
    assert (
        main(["run", "+dataset=webdataset", "dataset.shards=a.tar", f"output.dir={data}/run", *FAKE, *arguments]) == 0
    )
    return capsys.readouterr().out, (data / "run/README.md").read_text()


@pytest.mark.slow
def test_it_is_said_at_the_start_and_in_the_card(data, capsys):
    said, card = run(data, capsys, "policy=kids")
    assert "not tuned on policy kids" in said.split("policy kids: ")[0]
    assert "> **builtin was not tuned on policy kids" in card


def test_nothing_is_said_of_its_own_policy(data, capsys):
    said, card = run(data, capsys)
    assert "not tuned" not in said + card


def test_judge_says_it_too(data, capsys):
    with tarfile.open("a.tar") as tar:
        tar.extract("000000001.jpg", filter="data")
    assert main(["judge", "000000001.jpg", "policy=kids", *FAKE]) == 0
    assert "not tuned on policy kids" in capsys.readouterr().out


@pytest.mark.slow
def test_the_card_says_where_policies_differ(data, capsys):
    said, card = run(data, capsys, "policies=[drawings,kids]")
    rows = pl.read_parquet(f"{data}/run/annotations/**/*.parquet")
    by_policy = rows.pivot("policy", index="index", values="rating")
    for one, other in (("drawings", "kids"), ("kids", "drawings")):
        count = len(by_policy.filter((pl.col(one) == "Unsafe") & (pl.col(other) == "Safe")))
        assert count > 0
        assert f"| {one} | {other} | {count} |" in card
        assert f"{count} Unsafe under {one} and Safe under {other}" in " ".join(said.split())


@pytest.mark.slow
def test_a_second_look_at_a_finished_stage_has_the_same_card(data, capsys):
    _, card = run(data, capsys, "policies=[drawings,kids]")
    _, again = run(data, capsys, "policies=[drawings,kids]")
    assert again == card


def test_one_policy_differs_from_nothing(data, capsys):
    _, card = run(data, capsys)
    assert "differ" not in card
