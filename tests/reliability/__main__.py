"""Try every fault there is, and write what came of it into docs/reliability.md.

`python -m tests.reliability [--share] [PYTEST ARGUMENTS]`; --share runs CI's share of the trials. Arguments such as
`-k kills` choose; the rows of tests that did not run keep what was recorded before.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.reliability.faults import FAULTS
from tests.reliability.record import outcomes_of, read_record, write_record
from tests.reliability.table import write_tables

RECORDING = ("-o", "junit_family=xunit1")
"""The family that has properties of a single test."""


def main(arguments: list[str]) -> int:
    """Exit code of pytest, whose failures are in the tables too."""
    full = "--share" not in arguments
    chosen = [argument for argument in arguments if argument != "--share"]
    tests = [test for fault in FAULTS for test in fault.tests]
    with tempfile.TemporaryDirectory(prefix="curate-reliability-") as folder:
        junit = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={junit}", *RECORDING, *tests, *chosen]
        code = subprocess.run(command, env=os.environ | ({"CURATE_RELIABILITY": "full"} if full else {})).returncode
        record = read_record() | outcomes_of(junit, full=full, day=datetime.now(UTC).date())
    write_record(record)
    write_tables(FAULTS, record)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
