"""From a shard to its rows: one worker's loop.

Nouns: `Worker`, `ShardWriter` (rows of a shard in one pass), `Gate` (what is in flight), `ReorderBuffer`.
Law: every sample ends in exactly one row for each pass, whatever happens to it.

| module | does |
|---|---|
| worker | takes shards until none is left |
| annotate_shard | one shard: read, prepare, judge, write, commit |
| judge_sample | one sample from its bytes to its rows |
| shard_writer | which samples need a row, where rows go, and the commit |
| preprocess_pool, autoscale | decodes and renders in processes; more of them while the engine starves |
| decoder_noise | what decoders print by themselves |
| backpressure, reorder_buffer | bounds what is in flight; gives results back in order |
| duplicates, label_reuse, digest_index | labels of the same picture, in the shard and in earlier runs |
| instrumented | an engine and a pool that are timed |
| run_worker | builds all this for a run, and ends it |
| on_demand | a few pictures, no run |
"""

__all__ = (
    "autoscale",
    "judge_sample",
    "label_reuse",
    "on_demand",
    "preprocess_pool",
    "run_worker",
    "worker",
)
