"""Rows a second from a filtered run to its report, and what that takes of memory and gives in HTML.

The rows are synthetic (`judged_run`), with links of 40,000 hosts among them, and their sources are not there, so that
no picture is read: that time is bounded apart (`curate.report.pictures.SECONDS`).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.benchmarks.judged_run import ROWS_PER_SHARD, write_judged_run
from tests.benchmarks.measuring import Ratio, Result
from tests.benchmarks.processes import watch

SIZES = {100: 3, 1_000: 3}
"""Shards, and how often they are reported on."""
SECONDS, MEGABYTES, HTML_MEGABYTES = 120, 2_000, 10
"""Promised for ten million rows."""


def run(folder: Path) -> Result:
    """A million rows, and ten."""
    result = Result(name="reporting", unit="rows/s", checked="that the report names every row")
    for shards, repeats in SIZES.items():
        rows = shards * ROWS_PER_SHARD
        judged = write_judged_run(folder / "run", shards, hosts=40_000)
        thresholds = ("filter.thresholds.unsafe=0.7", "filter.thresholds.review=0.5")
        watch(_curate("filter", judged, "filter.write=index", *thresholds), folder / "log")
        title = f"curate, {rows / 1e6:g} M rows"
        used = [watch(_curate("report", judged), folder / "log") for _ in range(repeats)]
        html = (judged / "report.html").read_text(encoding="utf-8")
        assert f"{rows:,} samples" in html
        result.rates[title] = [rows / usage.seconds for usage in used]
        result.notes[f"peak MB of all its processes, {title}"] = max(usage.peak_mb for usage in used)
        result.notes[f"MB of HTML, {title}"] = len(html.encode()) / 1e6
        shutil.rmtree(judged)
    most = max(SIZES)
    result.ratios[f"seconds, {most * ROWS_PER_SHARD / 1e6:g} M rows"] = Ratio(
        value=max(usage.seconds for usage in used), at_most=SECONDS
    )
    result.ratios["peak MB"] = Ratio(value=max(usage.peak_mb for usage in used), at_most=MEGABYTES)
    result.ratios["MB of HTML"] = Ratio(value=len(html.encode()) / 1e6, at_most=HTML_MEGABYTES)
    return result


def _curate(command: str, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "curate", command, f"output.dir={folder}", *more]
