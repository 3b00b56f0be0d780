"""The arguments of `report`."""

from __future__ import annotations

import pytest

from curate.cli.program import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "output.dir: none was given"),
        (["report", "output.dir=nowhere"], "output.dir=nowhere: holds no run"),
        (["report", "output.dir=x", "report.images=maybe"], "report.images=true or report.images=false"),
        (["report", "output.dir=x", "report.picture=true"], "did you mean report.images="),
        (["report", "output.dir=x", "filter.thresholds.unsafe=0.3"], "`report` takes output.dir="),
    ],
)
def test_what_is_wrong_is_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
