"""What the tests of faults came to: taken from pytest's JUnit file, kept in record.json, one entry a test function."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

RECORD = Path(__file__).parent / "record.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Trials of one test function, over all its parameters; what was skipped is not counted.

    Attributes:
        trials: number that passed and that failed; a test is one trial unless it recorded the property "trials".
        full: whether it ran in full mode.
        seconds: in all.
        day: ISO date of the run.
    """

    passed: int = 0
    failed: int = 0
    full: bool
    seconds: float = 0.0
    day: str


def outcomes_of(junit: Path, *, full: bool, day: date) -> dict[str, Outcome]:
    """Outcomes in a JUnit file, by test as pytest names it, without parameters."""
    found: dict[str, Outcome] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        name = _test_of(case)
        before = found.get(name, Outcome(full=full, day=day.isoformat()))
        found[name] = _with(before, case)
    return found


def read_record(path: Path = RECORD) -> dict[str, Outcome]:
    """The record that stands."""
    if not path.exists():
        return {}
    return {name: Outcome(**fields) for name, fields in json.loads(path.read_text(encoding="utf-8")).items()}


def write_record(record: Mapping[str, Outcome], path: Path = RECORD) -> None:
    """Replace the record."""
    content = {name: asdict(outcome) for name, outcome in sorted(record.items())}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _with(outcome: Outcome, case: ElementTree.Element) -> Outcome:
    trials = next((int(p.get("value", "1")) for p in case.iter("property") if p.get("name") == "trials"), 1)
    failed = case.find("failure") is not None or case.find("error") is not None
    return replace(
        outcome,
        passed=outcome.passed + (0 if failed else trials),
        failed=outcome.failed + (trials if failed else 0),
        seconds=round(outcome.seconds + float(case.get("time", "0")), 1),
    )


def _test_of(case: ElementTree.Element) -> str:
    """`tests/test_a.py::TestB::test_c` of the class name `tests.test_a.TestB` and the name `test_c[1]`."""
    parts = case.get("classname", "").split(".")
    classes = [part for part in parts if part[:1].isupper()]
    modules = parts[: len(parts) - len(classes)]
    return "::".join(["/".join(modules) + ".py", *classes, case.get("name", "").partition("[")[0]])
