"""Evidence gathered into a report of bounded size, and the table a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from curate.verification.evidence import Checked, Evidence, Finding, Law, Note

SHOWN = 20
"""Findings of a law that are kept; all are counted."""

WIDTH = 34


@dataclass(slots=True)
class Report:
    """What an audit saw.

    Attributes:
        checked: number of things held against a law, by law and unit.
        found: number of violations by law.
        findings: the first `SHOWN` violations of each law.
        notes: by what was noted, how often and where first.
        unreadable: sources that could not be read, so that nothing is known about them; reason by shard id.
    """

    checked: Counter[tuple[Law, str]] = field(default_factory=Counter)
    found: Counter[Law] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def take(self, evidence: Iterable[Evidence]) -> None:
        """Add what a check says."""
        for one in evidence:
            match one:
                case Checked():
                    self.checked[one.law, one.unit] += one.count
                case Finding():
                    self._find(one)
                case Note():
                    count, first = self.notes.get(one.what, (0, one.where))
                    self.notes[one.what] = (count + 1, first)

    def lines(self) -> Iterator[str]:
        """The report for a person: a table of the laws, then violations, then notes."""
        yield f"{'law':<{WIDTH}}{'violations':>10}  checked"
        for law in Law:
            checked = ", ".join(f"{count:,} {unit}" for (of, unit), count in self.checked.items() if of == law)
            yield f"{law:<{WIDTH}}{self.found[law]:>10,}  {checked or 'nothing there to check'}"
        for law in Law:
            yield from self._violations(law)
        if self.notes or self.unreadable:
            yield ""
        for what, (count, where) in self.notes.items():
            yield f"note: {what}: {where}{f' and {count - 1:,} more' if count > 1 else ''}"
        for reason in list(self.unreadable.values())[:SHOWN]:
            yield f"not checked: {reason}"

    def _find(self, finding: Finding) -> None:
        self.found[finding.law] += 1
        if self.found[finding.law] <= SHOWN:
            self.findings.append(finding)

    def _violations(self, law: Law) -> Iterator[str]:
        if not self.found[law]:
            return
        yield ""
        yield f"violations of law {law}"
        for finding in (f for f in self.findings if f.law == law):
            yield f"  {finding.where}: {finding.what}"
        if self.found[law] > SHOWN:
            yield f"  and {self.found[law] - SHOWN:,} more"
