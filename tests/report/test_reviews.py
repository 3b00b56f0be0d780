"""As soon as people have looked at a run, its report begins with what they say of it."""

from __future__ import annotations

import polars as pl
import pytest

from curate.cli.program import main
from curate.report.facts import gather
from curate.report.sections.decides import decides
from curate.report.shapes import Command, Headline, Note, Prose
from curate.runs.run_folder import load_run
from tests.support.filled_in import filled_in
from tests.support.jobs import fake_run, split_rows, write_tar

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_tar(folder / "0.tar", range(200))
    assert main(fake_run(str(folder / "0.tar"), folder / "run")) == 0
    return folder / "run"


def blocks(run, kind):
    section = decides(gather(load_run(run), plain=False))
    return [block for block in section.blocks if isinstance(block, kind)]


def reviewed(run, to, verdict, seed=0):
    assert main(["review", "export", f"output.dir={run}", f"to={to}", "reviews=100", f"seed={seed}"]) == 0
    done = filled_in(to, lambda task: verdict(int(task.rpartition("-")[2])))
    assert main(["review", "import", f"output.dir={run}", str(done)]) == 0


def test_it_begins_with_what_people_say_as_soon_as_they_have(run, tmp_path):
    assert not [one for one in blocks(run, Headline) if one.text == "of clean is unsafe"]
    assert blocks(run, Command)[0].line == f"python -m curate review export output.dir={run} to=NEW"

    reviewed(run, tmp_path / "first", lambda n: "Unsafe" if n % 9 == 0 else "Safe")
    (headline,) = blocks(run, Headline)
    facts = gather(load_run(run), plain=False)
    leakage = facts.audit.leakage
    assert headline.number.startswith("at most ")
    assert (headline.text, leakage.wrong > 0, facts.audit.is_current) == ("of clean is unsafe", True, True)
    assert f"{leakage.reviewed} blind reviews, {leakage.wrong} of them unsafe" in headline.more
    assert leakage.rate < leakage.at_most < 1
    assert not blocks(run, Note)
    assert f"{leakage.reviewed} of {facts.splitting.result.splits['clean']} samples" in blocks(run, Prose)[0].text

    assert main(["filter", f"output.dir={run}", f"filter.overrides={run}"]) == 0
    (note,) = blocks(run, Note)
    assert "The splits have changed since these reviews were drawn" in note.text
    facts = gather(load_run(run), plain=False)
    assert facts.splitting.result.splits["clean"] == len(split_rows(run, "clean")) != leakage.population

    reviewed(run, tmp_path / "second", lambda n: "Safe", seed=1)
    assert not blocks(run, Note), "these are of the splits as they are now"
    assert gather(load_run(run), plain=False).audit.leakage.wrong == 0


def test_rows_are_where_verdicts_put_them(run):
    """What other thresholds would have done is told with people's verdicts in place."""
    facts = gather(load_run(run), plain=False)
    assert facts.rules.overrides
    (ledger,) = (run / "tables").glob("reviewed-*.parquet")
    unsafe = pl.read_parquet(ledger).filter(pl.col("verdict") == "Unsafe").height
    assert unsafe > 0
    assert facts.tradeoff.kept().max() <= facts.tradeoff.total - unsafe
