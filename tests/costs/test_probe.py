"""`plan` against what then happens. Rates are those of a fake engine that serves so many a second."""

from __future__ import annotations

import time

import pytest

from curate.cli.commands import plan as plan_command
from curate.cli.hydra_config import compose_settings
from curate.costs.cost_model import ObservedCost, file_bytes
from curate.costs.probe import earlier, estimate, probe
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import open_settings
from curate.runs.plan import make_plan
from tests.support.jobs import fake_run, write_tar

FOUND = ObservedCost(
    samples=64, failed={}, rate=10.0, startup=30.0, prompt_tokens=1, output_tokens=1, row_bytes=100.0, engines=2
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four shards of 40 samples."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(4):
        write_tar(folder / f"{number:05d}.tar", range(40 * number, 40 * number + 40))
    return f"{folder}/{{00000..00003}}.tar"


def settings_of(shards, folder, *more):
    return compose_settings(fake_run(shards, folder, *more)[1:])


def test_time_is_shared_by_engines_and_gpu_hours_are_not(shards, tmp_path):
    settings = settings_of(shards, tmp_path / "run", "job.tasks=2")
    found = estimate(settings, make_plan(settings.dataset), FOUND)
    assert (found.samples, found.left, found.exact, found.engines) == (160, 160, True, 4)
    assert found.seconds == pytest.approx(30 + 160 / 10 / 4)
    assert found.gpu_hours == pytest.approx(found.seconds * 4 / 3600)
    assert found.disk["annotations"] == 160 * 100 + 4 * file_bytes()


def test_no_more_engines_than_shards_count(shards, tmp_path):
    settings = settings_of(shards, tmp_path / "run", "job.tasks=50")
    assert estimate(settings, make_plan(settings.dataset), FOUND).engines == 4


@pytest.mark.slow
def test_only_what_is_left_takes_time(shards, tmp_path, capsys):
    settings = settings_of(shards, tmp_path / "run")
    assert earlier(settings) is None
    run = open_settings(settings)
    annotate(run)
    plan = make_plan(settings.dataset)
    found = earlier(settings)
    assert estimate(settings, plan, found).seconds == 0
    run.store.delete(f"commits/drawings/{plan.shards[0].id}.json")
    again = estimate(settings, plan, found)
    assert (again.samples, again.left) == (160, 40)
    assert again.seconds == pytest.approx(found.startup + 40 / found.rate)
    plan_command.main(fake_run(shards, tmp_path / "run")[1:])
    printed = capsys.readouterr().out
    assert "by earlier workers" in printed
    assert "160, 40 of them left to judge" in printed


@pytest.mark.slow
def test_an_earlier_run_of_another_setup_is_not_taken(shards, tmp_path):
    annotate(open_settings(settings_of(shards, tmp_path / "run")))
    assert earlier(settings_of(shards, tmp_path / "run", "engine.max_requests=3")) is None


@pytest.mark.slow
def test_the_estimate_is_within_a_fifth_of_what_then_happens(shards, tmp_path):
    settings = settings_of(shards, tmp_path / "run", "engine.args.rate=16")
    found = estimate(settings, make_plan(settings.dataset), probe(settings, 48))
    started = time.monotonic()
    run = open_settings(settings)
    annotate(run)
    took = time.monotonic() - started
    assert found.seconds == pytest.approx(took, rel=0.2)
    size = sum(p.stat().st_size for p in (tmp_path / "run/annotations").rglob("*.parquet"))
    assert found.disk["annotations"] == pytest.approx(size, rel=0.2)
    after = earlier(settings)
    assert after.rate == pytest.approx(found.observed.rate, rel=0.2)
