"""The tables of docs/reliability.md, between its two markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from tests.reliability.faults import Fault
from tests.reliability.record import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN = "<!-- written by `make reliability` from tests/reliability/record.json: begin -->"
END = "<!-- end -->"


def write_tables(faults: Sequence[Fault], record: Mapping[str, Outcome], page: Path = PAGE) -> None:
    """Put the tables in place of what stands between the markers.

    Raises:
        ValueError: the page has no such markers.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: no markers to write between")
    lines = "\n".join(_lines(faults, record))
    page.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{after}", encoding="utf-8")


def _lines(faults: Sequence[Fault], record: Mapping[str, Outcome]) -> Iterator[str]:
    for number, (area, rows) in enumerate(groupby(faults, lambda fault: fault.area)):
        if number:
            yield ""
        yield from (f"### {area}", "", "| fault | how it is made | trials | held to |", "|---|---|---|---|")
        for fault in rows:
            files = ", ".join(sorted({test.partition("::")[0] for test in fault.tests}))
            yield f"| {fault.fault} | {fault.made} ({files}) | {_trials(fault, record)} | {fault.holds} |"


def _trials(fault: Fault, record: Mapping[str, Outcome]) -> str:
    ran = [record[test] for test in fault.tests if test in record]
    if not ran:
        return "not run"
    passed, failed = sum(one.passed for one in ran), sum(one.failed for one in ran)
    held = f"**{failed:,} of {passed + failed:,} failed**" if failed else f"{passed:,}, all held"
    missing = len(fault.tests) - len(ran)
    part = f", {missing} of {len(fault.tests)} tests not run" if missing else ""
    mode = "full" if all(one.full for one in ran) else "CI's share"
    return f"{held}{part} ({mode}, {max(one.day for one in ran)})"
