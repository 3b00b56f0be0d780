"""Run all benchmarks, or those named: python -m tests.benchmarks [NAME ...].

Each runs in a process of its own, so that none meets the memory and the threads of another, and writes its result as
soon as it has one. Where one fails or hangs the others go on; the exit code tells. At the end docs/performance.md shows
the results there are.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from curate.console.output import configure
from tests.benchmarks import table
from tests.benchmarks.machine import describe
from tests.benchmarks.measuring import Result

NAMES = (
    "reading",
    "decode",
    "growth",
    "filtering",
    "reporting",
    "feeding",
    "startup",
    "formats",
    "threads",
    "end_to_end",
    "contenders",
    "savings",
    "policies",
    "reduction",
    "serving",
)
RESULTS = Path(__file__).parent / "results"
LIMIT_SECONDS = 3600


def main(names: list[str]) -> int:
    """Write one JSON file and print one table for each benchmark; the number of those that failed."""
    if len(names) == 1:
        measure(names[0])
        return 0
    failed = [name for name in names or NAMES if not succeeds(name)]
    table.write()
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


def succeeds(name: str) -> bool:
    """Whether a benchmark ran to its end, in a process and a session of its own: nothing it started outlives it."""
    print(f"\n--- {name} ({time.strftime('%H:%M:%S')})", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks", name], start_new_session=True)
    try:
        return process.wait(LIMIT_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        _end_session(process.pid)


def measure(name: str) -> None:
    """Run one benchmark here."""
    configure(verbose=False)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as folder:
        result = importlib.import_module(f"tests.benchmarks.{name}").run(Path(folder))
    text = json.dumps(result.to_record() | {"machine": describe()}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    show(result)
    print(f"  took {time.monotonic() - started:.0f} s")


def show(result: Result) -> None:
    """Medians and spread as a table."""
    print(f"\n{result.name} ({result.unit}; {result.checked})")
    for contender, rates in result.rates.items():
        print(f"  {contender:<56}{result.median(contender):>12.2f}   {min(rates):.2f} to {max(rates):.2f}")
    for what, ratio in result.ratios.items():
        print(f"  {what}: {ratio.value:.2f}{'' if ratio.kept else '   MISSED'}")
    for note, value in result.notes.items():
        print(f"  {note}: {value:.2f}" if isinstance(value, float) else f"  {note}: {value}")
    for contender, reason in result.skipped.items():
        print(f"  not run: {contender} ({reason})")


def _end_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
