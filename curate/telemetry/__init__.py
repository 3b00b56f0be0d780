"""How fast a run is, how far, and what it waits for.

Nouns: `Metrics` (figures that add up over workers), `Meter`, `Step` (where a sample spends its time), `Tally`.
Law: what is measured changes no row.

| module | does |
|---|---|
| metrics | the figures |
| meter | measures a worker while it works |
| metrics_files | where figures go, and the sum of all workers |
| throughput | how fast a run was, and why not faster, in words |
| failure_budget | counts, and how many failures are too many |
| progress | bars and lines while something goes on |
| status | how far a run is, from its folder alone |
"""

__all__ = (
    "failure_budget",
    "meter",
    "metrics",
    "metrics_files",
    "progress",
    "status",
    "throughput",
)
