"""Run all benchmarks, or those named: python -m tests.benchmarks [NAME ...]."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from curate.console import configure
from tests.benchmarks.measuring import Result

NAMES = ("reading", "feeding")
RESULTS = Path(__file__).parent / "results"


def main(names: list[str]) -> None:
    """Write one JSON file and print one table for each benchmark."""
    configure(verbose=False)
    for name in names or NAMES:
        with tempfile.TemporaryDirectory(prefix="curate-bench-") as folder:
            result = importlib.import_module(f"tests.benchmarks.{name}").run(Path(folder))
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        text = json.dumps(asdict(result) | {"machine": machine}, indent=1)
        (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        show(result)


def show(result: Result) -> None:
    """Medians and spread as a table."""
    print(f"\n{result.name} ({result.unit}; {result.checked})")
    for contender, rates in result.rates.items():
        print(f"  {contender:<40}{result.median(contender):>10.1f}   {min(rates):.1f} to {max(rates):.1f}")
    for note, value in result.notes.items():
        print(f"  {note}: {value:.2f}" if isinstance(value, float) else f"  {note}: {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
