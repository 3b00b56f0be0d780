"""Write the report of a run's folder, finished or not: one HTML file without scripts, which loads nothing.

`run` ends with one; this writes it again, after other rules, an evaluation, or with pictures as they are. Pictures are
read from the sources again; where these cannot be read, the report says so in their place. See docs/report.md.
"""

from __future__ import annotations

from curate.cli.data_access import reached, split_access
from curate.cli.run_argument import only_flag, split_run
from curate.console.output import say
from curate.console.phases import phase
from curate.core.errors import CurateError, ExitCode
from curate.processes.piped_process import ProcessDied
from curate.report.write_report import write_report

SUMMARY = "one HTML file that says what a run came to, and what other thresholds would have done"
EXAMPLE = "report output.dir=runs/laion_subset"
ARGUMENTS = """
output.dir=DIR            the run's folder
report.images=true|false  show every picture, blurred until asked for, in report-with-images.html
dataset.moved={OLD: NEW}  where the data lie now, by where they lay
dataset.storage_options.KEY=VALUE
                          credentials, which a run's folder does not keep
dataset.shards=URL        URLs with their signatures, where they were given with such
"""


class ReportDied(CurateError):
    """The process that made the report was killed, most often for want of memory."""


def main(argv: list[str]) -> ExitCode:
    """Write one report.

    Raises:
        InputError: an argument is wrong, there is no run, nothing is judged, or what draws is not installed.
        ReportDied: the process that made it was killed.
    """
    folder, others = split_run(argv)
    access, rest = split_access(others)
    images = only_flag(rest, "report", "report.images", default=False)
    run = reached(folder, access)
    try:
        with phase("writing the report"):
            place = write_report(run, images=images)
    except ProcessDied as error:
        raise ReportDied(f"report: the process that makes it ended: {error}") from error
    say(f"report      {place}")
    return ExitCode.DONE
