"""One worker: takes shards that nobody has finished until none is left. This is what a SLURM array task runs.

Any number of workers may share one output.dir, on any machines that see it; start and stop them at any time.
"""

from __future__ import annotations

from curate.annotation.worker import Outcome
from curate.cli.hydra_config import compose_settings
from curate.cli.remarks import remarks
from curate.console.output import say
from curate.core.errors import ExitCode, ShardUnreadable
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import open_settings
from curate.telemetry.metrics_files import read_metrics
from curate.telemetry.throughput import pace

SUMMARY = "one worker: judges shards that nobody has finished until none is left"
EXAMPLE = "annotate +dataset=laion_subset"
SETTINGS = "all"


def main(argv: list[str]) -> ExitCode:
    """Run one worker.

    Raises:
        ShardUnreadable: shards were left out because they cannot be read; all others are finished.
    """
    run = open_settings(compose_settings(argv))
    say(*remarks(run.settings))
    outcome = annotate(run)
    say(f"judged {outcome.tally.rows} samples at {outcome.tally.rate:.1f}/s, {outcome.tally.failed} without a label")
    say(*pace(read_metrics(run.store)))
    refuse_unreadable(outcome)
    return ExitCode.DONE


def refuse_unreadable(outcome: Outcome) -> None:
    """End with an error where shards could not be read."""
    if outcome.unreadable:
        first = next(iter(outcome.unreadable.values()))
        raise ShardUnreadable(
            f"{len(outcome.unreadable)} shards could not be read and have no rows; the first: {first}; "
            "mend or remove them and run again to go on"
        )
