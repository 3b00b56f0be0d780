"""From annotations to splits: rules decide, writers copy the original bytes, the card is written last.

Law: what was not judged never reaches `clean`, and what a split holds are the original bytes.

| module | does |
|---|---|
| conditions | one SQL condition of a rule set -> a checked polars expression |
| calibrating | p_unsafe calibrated before any rule sees it; whether a calibration fits the run |
| thresholds | cut-offs on p_unsafe -> the columns `unsafe`, `review`, `unscored` |
| overrides | verdicts of people, which the rules see in place of the model's |
| rules | settings -> the split and the reason of each row |
| decide | annotation files of one shard -> one decision for each sample, several policies combined |
| subdivide | keys -> train, validation, test |
| decisions | decisions as frozen types, streamed |
| writer, write_parquet, write_webdataset, write_index, formats | a split's file in one format; the formats by name |
| copying | a source shard read again, checked against its decisions, and written into split files |
| indexing, ordered_map | a shard's decisions written as index files, no source read; several shards at once |
| counts | samples by fate and by the source's own label, summed over shards |
| table_files | tables that polars writes, and what it says of a full disk |
| removals | what was removed and why, and what people decided, sample by sample |
| manifest | which files belong to which rule set; what an older one left behind |
| stage | everything one run of the stage works with, checked |
| result | counts |
| splitting | every shard decided, counted and written |
| estimate | what each format costs in disk |
"""

__all__ = (
    "calibrating",
    "decide",
    "estimate",
    "formats",
    "manifest",
    "overrides",
    "result",
    "rules",
    "splitting",
    "stage",
    "table_files",
    "write_index",
    "write_parquet",
)
