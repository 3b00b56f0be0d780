"""What `status` says of a run that loads its model, judges, and has ended."""

from __future__ import annotations

import subprocess
import sys

import pytest

from curate.cli.program import main
from tests.support.jobs import environment, fake_run, write_shards
from tests.support.waiting import wait_until


@pytest.mark.slow
def test_a_model_that_is_loaded_is_said_in_place_of_no_images(tmp_path, capsys):
    shards = write_shards(tmp_path, 1, 6)
    arguments = fake_run(shards, tmp_path / "run", "engine.args.load=600")
    running = subprocess.Popen(
        [sys.executable, "-m", "curate", *arguments], stderr=subprocess.PIPE, text=True, env=environment()
    )

    def said() -> str:
        if not (tmp_path / "run/plan.parquet").exists() or not list((tmp_path / "run").glob("work/workers/*")):
            return ""
        assert main(["status", f"output.dir={tmp_path}/run"]) == 0
        return capsys.readouterr().out

    try:
        wait_until(lambda: "1 of 1 live workers load the model, for " in said(), "status tells of the loading")
        assert "0 images" not in said()
    finally:
        running.kill()
        running.communicate()
    assert main(fake_run(shards, tmp_path / "run")) == 0
    capsys.readouterr()
    done = said()
    assert "1 of 1 shards done" in done
    assert "load the model" not in done
