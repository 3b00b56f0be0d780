"""The sections of a report: each is one function from the facts of a run to a section, or to None where it has none.

Another one is one new file and one line in `SECTIONS`.

| file | shows |
|---|---|
| decides | how sure one can be of clean, and what it takes to be surer |
| judge | model, policy, thresholds |
| funnel | from inputs to splits |
| categories | ratings and categories |
| probabilities | p_unsafe, with the thresholds |
| thresholds | what other thresholds would have done |
| failures | what has no label, and why |
| removals | what is removed, by the source's own class, domain, size, label |
| nearest | rows nearest to the threshold |
| samples | samples of each category |
| throughput | pace, and idle engines, over time |
| evaluation | scores against a gold set |
| policies | several policies side by side |
| cards | rows as cards |
"""

from __future__ import annotations

from collections.abc import Callable

from curate.report.facts import Facts
from curate.report.sections.categories import categories
from curate.report.sections.decides import decides
from curate.report.sections.evaluation import evaluation
from curate.report.sections.failures import failures
from curate.report.sections.funnel import funnel
from curate.report.sections.judge import judge
from curate.report.sections.nearest import nearest
from curate.report.sections.policies import policies
from curate.report.sections.probabilities import probabilities
from curate.report.sections.removals import removals
from curate.report.sections.samples import samples
from curate.report.sections.thresholds import thresholds
from curate.report.sections.throughput import throughput
from curate.report.shapes import Section

SECTIONS: tuple[Callable[[Facts], Section | None], ...] = (
    decides,
    judge,
    funnel,
    categories,
    policies,
    probabilities,
    thresholds,
    nearest,
    samples,
    failures,
    removals,
    evaluation,
    throughput,
)
"""In their order."""
