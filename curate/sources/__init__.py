"""Formats that samples are read from; README.md has what holds for all of them.

Nouns: `Source` (the contract), `ShardBroken`.
Law: bytes are handed on as they are, and what cannot be read is told with where it breaks off.

| module | does |
|---|---|
| base | the contract |
| registry | sources by format; another one is one file and one line here |
| webdataset, parquet, arrow, zip, manifest, folder, hub | a format each |
| kinds | what is not read, named for what it is, with what to do |
| rows | rows of Arrow tables as samples |
| row_layout, row_pictures, row_columns | of a row: columns that matter, pictures in them, what stands beside these |
| tar, tar_headers, arrow_types, class_names, names, meta, files, file_shards | what they share |
| text_images, own_files | pictures in texts: base64, and paths of files below the data set's own folder |
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
    "row_columns",
    "webdataset",
)
