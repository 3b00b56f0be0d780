"""From the command line to the first labelled picture: how long, and where the time goes.

The parts follow one another; what is named is what had been reached when the part ended. The worker processes load
their image processors beside the engine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.judging import curate_job
from tests.benchmarks.measuring import Result, stopwatch
from tests.benchmarks.pictures import sample_pictures, write_tars

REPEATS, PICTURES = 3, 8
TOLD = "first image labelled"


def run(folder: Path) -> Result:
    """Seconds of each part, and of the list of commands."""
    shards = write_tars(folder / "tars", sample_pictures(PICTURES))
    result = Result(name="startup", unit="s", checked="")
    parts: dict[str, list[float]] = defaultdict(list)
    for number in range(REPEATS):
        times, verdicts = curate_job(folder / "run", shards)
        assert len(verdicts) == PICTURES
        reached = [("", 0.0), *sorted(times.at.items(), key=lambda item: item[1])]
        for (_, before), (what, at) in pairwise(reached):
            parts[what].append(at - before)
        result.rates.setdefault(f"to the {TOLD}", []).append(times.at[TOLD])
        result.rates.setdefault("list of commands (--help)", []).append(stopwatch(_list_commands))
        print(f"  startup, round {number + 1}: {times.at[TOLD]:.1f} s")
    result.checked = f"{PICTURES} pictures labelled in each of {REPEATS} new processes"
    result.notes |= {f"seconds until: {what}": statistics.median(seconds) for what, seconds in parts.items()}
    result.notes["floor"] = "what vLLM itself takes: its import, and loading the engine"
    return result


def _list_commands() -> None:
    subprocess.run([sys.executable, "-m", "curate", "--help"], capture_output=True, check=True, env=os.environ)
