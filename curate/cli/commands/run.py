"""Plan, annotate, filter, and write the card; run it again after any interruption and it goes on.

`dataset.limit=N` judges the first N samples; `retry=[engine_failure,...]` judges rows of those statuses again;
`policies=[a,b]` judges every image under several policies; `extend=true` accepts new shards in the same folder.
"""

from __future__ import annotations

import time

from curate.cli.commands.annotate import refuse_unreadable
from curate.cli.commands.filter import split
from curate.cli.hydra_config import compose_settings
from curate.cli.remarks import remarks
from curate.console.output import complain, say
from curate.console.phases import phase
from curate.console.screen import Screen
from curate.core.errors import ExitCode, ShardUnreadable
from curate.pipeline.annotating import annotate, reopen_for_retry, unfinished
from curate.pipeline.opening import open_settings
from curate.report.write_report import report_after
from curate.runs.commits import any_committed
from curate.runs.disagreement import Disagreement
from curate.runs.run_folder import Run
from curate.runs.shard_failures import read_failures
from curate.summary.summary import ScreenOptions, summary

SUMMARY = "judge a data set and write its cleaned splits; the only command most people need"
EXAMPLE = "run +dataset=laion_subset"
SETTINGS = "all"


def main(argv: list[str]) -> ExitCode:
    """Run the whole job.

    Raises:
        CurateError: with the exit code of its kind; whatever was finished stays and the next run goes on from it.
    """
    started = time.monotonic()
    run = open_settings(compose_settings(argv))
    again = reopen_for_retry(run)
    left = unfinished(run)
    if left:
        say(f"{left} of {len(run.plan.shards)} shards to judge under {', '.join(run.settings.passes)}")
        say(*remarks(run.settings))
    if again:
        say(f"{again} rows to judge again")
    outcome = annotate(run)
    if not any_committed(run.store, run.settings.passes):
        refuse_unreadable(outcome)
    result = split(run, run.settings.filter)
    screen = Screen()
    with phase("summing up"):
        known = [Disagreement(**one) for one in result.differences] or None
        view = ScreenOptions(width=screen.width, pictures=screen.pictures, arguments=argv, differences=known)
        rows = list(summary(run, result.splits, view))
    screen.show(*rows)
    if not left:
        say("", f"nothing was left to judge: this run was finished before ({time.monotonic() - started:.1f} s)")
    report_after(run)
    refuse_unreadable(outcome)
    _refuse_barren(run, sum(result.splits.values()))
    return ExitCode.DONE


def _refuse_barren(run: Run, samples: int) -> None:
    """End with an error where shards gave nothing, whenever they were read; say what broke off at the very end.

    Raises:
        ShardUnreadable: a shard has no sample that could be read, or none has any.
    """
    broken = [failure for failure in read_failures(run.store) if failure.judged]
    barren = [failure for failure in broken if failure.samples == 0]
    if barren:
        first = f"{barren[0].url}: {barren[0].reason}"
        raise ShardUnreadable(f"{len(barren)} shards gave nothing; the first: {first}; mend them and run again")
    if not samples:
        where = run.plan.shards[0].url if run.plan.shards else run.settings.dataset.name
        raise ShardUnreadable(
            f"no sample in any of {len(run.plan.shards)} shards, first {where}; what lies there instead is said above"
        )
    if broken:
        complain(
            f"{len(broken)} shards break off and are judged up to there; the first: {broken[0].url}: "
            f"{broken[0].reason}; mend them and run again to judge the rest"
        )
