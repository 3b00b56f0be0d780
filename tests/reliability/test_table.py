"""The table of faults names tests that are there, and says what the tests came to and nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.reliability.faults import FAULTS, Fault
from tests.reliability.record import outcomes_of, read_record, write_record
from tests.reliability.table import BEGIN, END, PAGE, write_tables

ROOT = Path(__file__).parents[2]
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_kill[0]" time="1.5"/>
<testcase classname="tests.test_a" name="test_kill[1]" time="1"><failure/></testcase>
<testcase classname="tests.test_a.TestB" name="test_fuzz" time="2">
  <properties><property name="trials" value="1500"/></properties></testcase>
<testcase classname="tests.test_a" name="test_cluster" time="0"><skipped/></testcase>
</testsuite></testsuites>"""


def fault(name: str, *tests: str) -> Fault:
    return Fault("Area", name, "by hand", "same", tuple(f"tests/test_a.py::{test}" for test in tests))


@pytest.mark.parametrize("test", [test for fault in FAULTS for test in fault.tests])
def test_every_fault_has_its_tests(test):
    file, *names = test.split("::")
    source = (ROOT / file).read_text(encoding="utf-8")
    assert all(f"class {name}(" in source or f"def {name}(" in source for name in names)


def test_the_table_says_what_was_recorded(tmp_path):
    junit, page, record = tmp_path / "junit.xml", tmp_path / "page.md", tmp_path / "record.json"
    junit.write_text(JUNIT)
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_record(outcomes_of(junit, full=True, day=date(2026, 1, 2)), record)
    faults = [fault("killed", "test_kill"), fault("fuzzed", "TestB::test_fuzz"), fault("cluster", "test_cluster")]
    write_tables(faults, read_record(record), page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| killed | by hand (tests/test_a.py) | **1 of 2 failed** (full, 2026-01-02) | same |" in text
    assert "| fuzzed | by hand (tests/test_a.py) | 1,500, all held (full, 2026-01-02) | same |" in text
    assert "| cluster | by hand (tests/test_a.py) | not run | same |" in text


def test_a_page_without_markers_is_not_written_to(tmp_path):
    (tmp_path / "page.md").write_text("text")
    with pytest.raises(ValueError, match="no markers"):
        write_tables([], {}, tmp_path / "page.md")


def test_the_page_is_what_the_record_makes(tmp_path):
    copy = tmp_path / "page.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    write_tables(FAULTS, read_record(), copy)
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
