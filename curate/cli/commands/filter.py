"""Split a run again by other rules, from its annotations; nothing is judged.

The run's own rules are where changes start from: `filter.thresholds.unsafe=0.3`, `filter.splits.small='width < 64'`,
`filter.write=webdataset`; `filter=NAME` starts from another rule set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from curate.cli.data_access import reached, split_access
from curate.cli.hydra_config import compose_filter
from curate.cli.run_argument import split_run
from curate.console.output import say
from curate.console.phases import phase
from curate.core.errors import ExitCode
from curate.filtering.calibrating import check_calibration
from curate.filtering.result import FilterResult
from curate.filtering.stage import deciding_passes
from curate.pipeline.filtering import run_filter
from curate.runs.rollup import roll_up
from curate.runs.run_folder import Run
from curate.settings.filter import FilterSettings
from curate.sources.registry import SOURCES
from curate.telemetry.progress import Counted

SUMMARY = "split a finished run again by other rules, without judging anything"
EXAMPLE = "filter output.dir=runs/laion_subset filter=strict"
ARGUMENTS = """
output.dir=DIR            the run's folder
dataset.moved={OLD: NEW}  where the data lie now, by where they lay
dataset.storage_options.KEY=VALUE
                          credentials, which a run's folder does not keep
dataset.shards=URL        URLs with their signatures, where they were given with such
"""
SETTINGS = "filter"


def main(argv: list[str]) -> ExitCode:
    """Filter again.

    Raises:
        InputError: there is no run, an override would change labels, or a rule is wrong.
        ShardUnreadable: a source cannot be read as far as it was judged.
    """
    folder, rest = split_run(argv)
    access, overrides = split_access(rest)
    run = reached(folder, access)
    settings = compose_filter(overrides, run.settings.filter)
    check_calibration(settings, run.fingerprints, deciding_passes(settings, run.settings.passes))
    result = split(run, settings)
    say(*_lines(result), f"card        {run.store.uri('README.md')}")
    return ExitCode.DONE


def split(run: Run, settings: FilterSettings) -> FilterResult:
    """`run_filter` with a progress bar; the commits behind it are then counted for `status` too."""
    with phase("splitting") as splitting, closing(Counted(splitting)) as counted:
        result = run_filter(
            run.store,
            settings,
            run.settings.dataset,
            run.plan.shards,
            run.settings.policies,
            SOURCES,
            model=run.settings.shown_model,
            progress=counted.add,
            total=counted.begin,
        )
        roll_up(run.store, run.plan.shards, run.fingerprints)
    return result


def _lines(result: FilterResult) -> Iterator[str]:
    yield "splits      " + "   ".join(f"{name} {count}" for name, count in result.splits.items())
    for split, reason, count in result.reasons:
        yield f"  {count:>9} to {split}: {reason}"
    if result.pending:
        yield f"{result.pending} shards are not judged yet and are in no split"
