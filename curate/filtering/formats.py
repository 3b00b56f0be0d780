"""The formats of split files by the name that `filter.write` gives them."""

from curate.filtering.write_index import INDEX
from curate.filtering.write_parquet import PARQUET
from curate.filtering.write_webdataset import WEBDATASET
from curate.filtering.writer import Format

FORMATS: dict[str, Format] = {"parquet": PARQUET, "webdataset": WEBDATASET, "index": INDEX}
