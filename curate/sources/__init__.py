"""Formats that samples are read from; README.md has what holds for all of them.

Nouns: `Source` (the contract), `ShardBroken`.
Law: bytes are handed on as they are, and what cannot be read is told with where it breaks off.

| module | does |
|---|---|
| base | the contract |
| registry | sources by format; another one is one file and one line here |
| webdataset, parquet, folder, hub | a format each |
| tar, rows, class_names, names, meta, files | what they share |
| passed_over | what is no part of any sample, counted by reason |
| patterns | brace ranges, globs and folders, expanded to shards |
"""

__all__ = (
    "base",
    "files",
    "folder",
    "names",
    "passed_over",
    "patterns",
    "registry",
    "rows",
    "webdataset",
)
