"""The stages of a run in their order: open, annotate, filter, compact. Each goes on where it stopped.

Law: a stage that was finished before is looked at, not done again.

| module | does |
|---|---|
| opening | settings to an opened run; everything that can be refused is refused here |
| annotating | one worker, or one for each engine of this machine |
| filtering | rows to splits, then the card |
| compacting | small files to parts, while the card keeps pointing to all rows |
"""

__all__ = (
    "annotating",
    "compacting",
    "filtering",
    "opening",
)
