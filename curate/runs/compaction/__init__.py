"""Many small annotation files become a few parts of some hundred megabytes, and are read as if nothing had changed.

A part holds the rows of consecutive shards. An index says which rows of which part are those of which committed file;
parts count through an index alone, and an index entry counts for the commit with the same digest alone. A shard that is
judged again therefore leaves its part without anything being rewritten, and readers need no lock.

| module | does |
|---|---|
| index | parts, spans, indexes: what stands where |
| reading | the rows of one committed shard, wherever they stand; every reader of annotations goes through it |
| grouping | which shards share a part |
| writing | one part: streamed, read back, published |
| rewriting | parts, then the index that makes them count, then what that makes superfluous |
| sweeping | the small files whose rows stand in a part, deleted under their shards' claims |
| lease | one compaction of a run at a time |
"""

__all__ = (
    "index",
    "lease",
    "reading",
    "rewriting",
)
