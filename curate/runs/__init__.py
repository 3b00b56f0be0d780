"""A run's folder as a database: what was planned, who works on what, which rows count.

Nouns: `Plan`, `Fingerprint`, `Claim`, `Commit`, `Journal`, `Run` (all of them, opened).
Law: only what has a commit counts; a commit is written last, and once, create-if-absent.

| module | does |
|---|---|
| plan | patterns to a fixed, hashed list of shards |
| locations | where the shards of a plan are now |
| fingerprint | a hash over all that can change a row |
| run_folder | whether a command may go on in a folder |
| claims | who works on which shard, and that they live |
| annotation_table | rows to and from Arrow |
| journal | rows on their way to the annotation file, checkpointed |
| commits | what is finished: one commit a shard and pass, written by `annotation.shard_writer` |
| results | whether an annotation file is believed or deleted |
| growth | going on over data that moved, grew or were repaired |
| reopening | finished shards made unfinished |
| shard_failures | shards that could not be read |
| rollup | what workers know to be finished, for `status` |
| disagreement | where the policies of a run differ |
| compaction/ | many small files as a few parts |
"""

__all__ = (
    "annotation_table",
    "claims",
    "commits",
    "compaction",
    "disagreement",
    "fingerprint",
    "journal",
    "plan",
    "reopening",
    "results",
    "rollup",
    "run_folder",
    "shard_failures",
)
