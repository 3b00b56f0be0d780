"""The report at the end of a run: named last, and never a reason for a finished run to fail."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest

from curate.cli.program import main
from curate.report import write_report as module
from curate.report.write_report import Request
from tests.support.jobs import fake_run, write_shards

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 2, 20)


def killed(request: Request) -> bytes:
    """In place of `made`: a fault, as the kernel ends a process for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def broken(request: Request) -> bytes:
    """In place of `made`: a fault, a defect of ours."""
    raise LookupError("a defect")


def test_a_run_ends_by_naming_its_report(shards, tmp_path, capsys):
    assert main(fake_run(shards, tmp_path / "run", "report.write=true")) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"report      {tmp_path}/run/report.html"
    assert err.count("report") <= 1
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "40 samples" in text
    assert not (tmp_path / "run" / "report-with-images.html").exists()
    assert main(["verify", f"output.dir={tmp_path}/run"]) == 0


def test_a_run_that_was_finished_before_has_its_report_still(shards, tmp_path, capsys):
    place = tmp_path / "run" / "report.html"
    assert main(fake_run(shards, tmp_path / "run", "report.write=true")) == 0
    before = place.stat().st_mtime_ns
    assert main(fake_run(shards, tmp_path / "run", "report.write=true")) == 0
    assert place.stat().st_mtime_ns == before
    assert capsys.readouterr().out.splitlines()[-1] == f"report      {place}"
    assert main(fake_run(shards, tmp_path / "run", "report.write=true", "filter.thresholds.unsafe=0.9")) == 0
    assert place.stat().st_mtime_ns != before
    assert "0.9: as it is" in place.read_text(encoding="utf-8")


def test_a_run_that_wants_none_has_none(shards, tmp_path, capsys):
    assert main(fake_run(shards, tmp_path / "run", "report.write=false")) == 0
    assert "\nreport" not in capsys.readouterr().out
    assert not (tmp_path / "run" / "report.html").exists()


def test_several_policies_stand_side_by_side_and_images_have_a_file_of_their_own(shards, tmp_path):
    more = ("policies=[drawings,kids]", "report.write=true", "report.images=true", "dataset.label=url")
    assert main(fake_run(shards, tmp_path / "run", *more)) == 0
    assert not (tmp_path / "run" / "report.html").exists()
    text = (tmp_path / "run" / "report-with-images.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert titles[0] == "What clean still holds"
    assert "Policies side by side" in titles
    assert {"From inputs to splits", "What was removed", "Throughput and idle engines"} <= set(titles)
    assert "Against a gold set" not in titles


def test_without_what_draws_a_run_says_how_to_get_it_and_goes_on(shards, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    assert main(fake_run(shards, tmp_path / "run", "report.write=true")) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "pip install 'curate[report]'" in last
    assert f"report output.dir={tmp_path}/run" in last
    assert main(["report", f"output.dir={tmp_path}/run"]) == 2
    assert "altair not installed" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [killed, broken])
def test_a_report_that_fails_does_not_fail_the_run(shards, tmp_path, capsys, monkeypatch, fault):
    monkeypatch.setattr(module, "made", fault)
    assert main(fake_run(shards, tmp_path / "run", "report.write=true")) == 0
    err = capsys.readouterr().err
    assert "report: was not written" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_run_that_is_not_finished_or_not_split_has_a_report_too(shards, tmp_path, capsys):
    assert main(["annotate", *fake_run(shards, tmp_path / "run")[1:]]) == 0
    next((tmp_path / "run" / "commits" / "drawings").glob("*.json")).unlink()
    assert main(["report", f"output.dir={tmp_path}/run"]) == 0
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Nothing is split yet" in text
    assert "1 of 2 shards are not judged" in text
    assert "not split yet" in text
