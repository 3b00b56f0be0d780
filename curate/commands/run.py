"""Plan, annotate, filter, and write the card; run it again after any interruption and it goes on.

`dataset.limit=N` judges the first N samples; `retry=[engine_failure,...]` judges rows of those statuses again;
`policies=[a,b]` judges every image under several policies; `extend=true` accepts new shards in the same folder.
"""

from __future__ import annotations

import time

from curate.commands.annotate import refuse_unreadable
from curate.commands.filter import split
from curate.config import compose_settings
from curate.console import say
from curate.disagreement import Disagreement
from curate.errors import ExitCode
from curate.ledger import any_committed
from curate.phases import phase
from curate.remarks import remarks
from curate.running import annotate, open_settings, reopen_for_retry, unfinished
from curate.screen import Screen
from curate.summary import View, summary

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
        view = View(width=screen.width, pictures=screen.pictures, arguments=argv, differences=known)
        rows = list(summary(run, result.splits, view))
    screen.show(*rows)
    if not left:
        say("", f"nothing was left to judge: this run was finished before ({time.monotonic() - started:.1f} s)")
    refuse_unreadable(outcome)
    return ExitCode.DONE
