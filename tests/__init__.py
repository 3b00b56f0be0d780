"""Tests, what they share, and benchmarks."""

import os

# Hundreds of runs need no report of their own; tests of reports ask for one (report.write=true).
os.environ.setdefault("CURATE_REPORT", "false")
