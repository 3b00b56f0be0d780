"""What people say of a run: a sample drawn for them, their verdicts taken in, and how wrong its splits are.

Nouns: sample, task (one drawn sample as a reviewer meets it), verdict, `Rate` (an estimate with its bounds).
Law: a bound holds whatever the safeguard thinks of itself; an audit shows reviewers nothing of what it said.

| file | does |
|---|---|
| strata | which samples are alike, and how many of each to look at |
| drawing | the draw from a run's splits |
| pictures | what reviewers see, drawn anew from the sources |
| label_studio | tasks for Label Studio, and its export |
| exporting | a sample on its way to reviewers |
| local_page | the page on which people look at it |
| verdicts | what they said, one verdict a task |
| agreement, estimates | kappa and AC1; leakage and false removals with their bounds |
| importing | verdicts into the run: estimates, gold set, overrides |
"""

__all__ = (
    "drawing",
    "estimates",
    "exporting",
    "importing",
    "local_page",
)
