"""The report of a run, made by a child process: neither its memory, its imports nor its end are the caller's."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from curate.console.output import complain, say
from curate.console.phases import phase
from curate.console.terminal import invocation
from curate.core.errors import CurateError, InputError
from curate.core.version import __version__
from curate.filtering.manifest import read_manifests
from curate.processes.piped_process import PipedProcess, ProcessDied
from curate.report.drawing import Drawer, missing
from curate.runs.commits import committed
from curate.runs.run_folder import Run, load_run
from curate.runs.shard_failures import count_failures
from curate.settings.dataset import DatasetSettings

PLAIN, WITH_IMAGES = "report.html", "report-with-images.html"
BEGINNING = 2048
"""Bytes of a report among which its mark is."""
EXTRA = "pip install 'curate[report]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the child process needs: the run's folder, how its data are reached now, and what is to be shown."""

    folder: str
    dataset: DatasetSettings
    images: bool


def write_report(run: Run, *, images: bool) -> str:
    """Write the report into the run's folder; where it lies.

    Args:
        run: finished as far as it is.
        images: whether pictures are shown as they are, in a file of another name.

    Raises:
        InputError: nothing is judged yet, or what draws is not installed.
        ProcessDied, RuntimeError: a defect of ours, or the child process was killed.
        StorageFailed: the folder cannot be written.
    """
    absent = missing()
    if absent:
        raise InputError(f"report: {', '.join(absent)} not installed, which draws its charts; {EXTRA} brings them")
    request = Request(folder=run.settings.output.dir, dataset=run.settings.dataset, images=images)
    process = PipedProcess[Request, bytes](made)
    try:
        html = process.ask(request)
    finally:
        process.stop()
    name = WITH_IMAGES if images else PLAIN
    run.store.replace(name, html)
    return run.store.uri(name)


def report_after(run: Run) -> None:
    """The report at the end of a run, as its settings want it; a run that is finished does not fail for want of one."""
    name = WITH_IMAGES if run.settings.report.images else PLAIN
    if not run.settings.report.write:
        return
    if _is_current(run, name):
        say(f"report      {run.store.uri(name)}")
        return
    if missing():
        say(f"report      none was written, since nothing here draws charts; {EXTRA}, then {_command(run)}")
        return
    try:
        with phase("writing the report"):
            place = write_report(run, images=run.settings.report.images)
    except (CurateError, ProcessDied, RuntimeError, OSError) as error:
        last = (str(error).splitlines() or [""])[-1]
        complain(f"report: was not written ({last}); the run is finished without; {_command(run)} tries again")
    else:
        say(f"report      {place}")


def made(request: Request) -> bytes:
    """The HTML; in the child process, which alone imports what reads and draws."""
    drawer = Drawer()
    try:
        from curate.report.document import document_of
        from curate.report.facts import gather
        from curate.report.page import charts_of, page

        run = load_run(request.folder, lambda known: request.dataset)
        made_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        by = f"curate {__version__}, polars {version('polars')}, Altair {version('altair')}; {made_at}"
        document = document_of(gather(run, plain=request.images), by, _mark(run), images=request.images)
        return page(document, drawer.draw(charts_of(document))).encode()
    finally:
        drawer.close()


def _is_current(run: Run, name: str) -> bool:
    """Whether the report that lies there is of the same rows and rules: a run that was finished before has it still."""
    try:
        with run.store.open(name) as file:
            return _mark(run).encode() in file.read(BEGINNING)
    except FileNotFoundError:
        return False


def _mark(run: Run) -> str:
    """A digest of the rule set that counts, which is one of the rows too, and of what is judged and broken."""
    rules = [manifest.digest for manifest in read_manifests(run.store) if manifest.result is not None]
    judged = [len(committed(run.store, name)) for name in run.settings.passes]
    known = [__version__, rules, judged, run.settings.passes, count_failures(run.store)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def _command(run: Run) -> str:
    return f"{invocation()} report output.dir={run.settings.output.dir}"
