"""Is this version slower than another? `python -m tests.benchmarks.versions CHECKOUT [ROUNDS]`, of a git worktree.

Both do the same work in turn, in processes that stay, and count their own user and system time: what else runs on the
machine moves that less than it moves the clock, and moves both alike. The figure is the median of the rounds' ratios.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.benchmarks.measuring import photograph_tars
from tests.benchmarks.reading import EACH, SHARDS, to_parquet

WORKS = ("reading tars", "reading Parquet", "reading a folder", "decoding and rendering")
HERE = Path(__file__).parents[2]
ROUNDS = 15


class Version:
    """A checkout's code at work."""

    def __init__(self, checkout: Path, data: Path) -> None:
        command = [sys.executable, "-P", str(HERE / "tests/benchmarks/version_worker.py"), str(data)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)}, **pipes)

    def microseconds(self, work: str) -> float:
        """Of processor time, for a sample."""
        print(work, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def compare(checkout: Path, rounds: int) -> None:
    """Print a row for each work."""
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as name:
        data = Path(name)
        for tar in photograph_tars(data, SHARDS, EACH):
            to_parquet(tar)
            with tarfile.open(tar) as archive:
                archive.extractall(data / "files" / tar.stem, filter="data")
        other, this = Version(checkout, data), Version(HERE, data)
        print("| work | before, µs of a core | now | throughput, now to before |\n|---|---:|---:|---:|")
        for work in WORKS:
            other.microseconds(work), this.microseconds(work)
            pairs = [_pair(other, this, work, turn) for turn in range(rounds)]
            before, now = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(one / two for one, two in pairs)
            print(f"| {work} | {before:.0f} | {now:.0f} | {ratio:.2f} |", flush=True)
        other.close()
        this.close()


def _pair(other: Version, this: Version, work: str, turn: int) -> tuple[float, float]:
    """Both, who begins taking turns."""
    if turn % 2:
        now = this.microseconds(work)
        return other.microseconds(work), now
    return other.microseconds(work), this.microseconds(work)


if __name__ == "__main__":
    compare(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
