"""The audit of a run's folder: which laws hold in it, with numbers; nothing is written.

Everything goes shard by shard. Memory grows with the samples of one shard (a few hundred bytes each) and with the
number of shards (names and digests), never with the data.

Law: it only reads; nothing is mended.

| module | does |
|---|---|
| evidence | the laws, and what a check says: counted, found wrong, worth a note |
| report | evidence gathered, and the table a person reads |
| folder | what a check looks at: the opened run, and one shard under one policy |
| plan | law 7 and 5: plan, commits outside it, fingerprints of run.yaml |
| commits | law 1, 5 and 7: an annotation file is the one its commit speaks of |
| parts | law 1 and 8: compacted rows |
| rows | law 1 and 4: indices, labels from the policy's own categories |
| reused | law 1 and 4: labels that were taken from elsewhere |
| cards | the cards: patterns match, digests agree, nothing that does not count is pointed to |
| split_set | which files in splits/ count |
| freshness | whether they were made from the annotations that are there now |
| totals | what only the sum over all shards tells |
| split_files | what one split file holds |
| deciding | law 2 and 6: each sample is where the rules put it |
| placing | law 2 and 3: each sample in one split, clean is labelled, images are the judged ones |
| sources | law 1 and 3: the sources read again |
| leftovers | law 8: what dead workers left, and that it does not count |
| audit | all of it over one folder |
"""

__all__ = (
    "audit",
    "report",
)
