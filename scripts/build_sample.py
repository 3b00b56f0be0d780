"""Rebuild curate/data/laion_subset byte for byte from four package archives.

Needs the versions in scripts/sample/requirements.txt, npm, apt-get and dpkg-deb. `--check` builds into a temporary
folder and compares with the SHA256SUMS that is checked in.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from drawings.archives import ARCHIVES, fetch_missing
from PIL import Image
from sample.manifest import SAMPLES_PER_SHARD, TARS, read_rows
from sample.samples import ORIGINS, Sample, make_samples
from sample.shards import write_parquet_shard, write_tar_shard

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "curate" / "data" / "laion_subset"
SUMS = "SHA256SUMS"
CHANGES = "rastered, scaled, put on a background and encoded"


def build(archives: Path, out: Path) -> None:
    """Write the whole sample into `out`."""
    Image.MAX_IMAGE_PIXELS = None  # the absurdly large picture is our own
    out.mkdir(parents=True, exist_ok=True)
    samples = make_samples(read_rows(), archives)
    for number, shard in enumerate(_chunks(samples)):
        if number < TARS:
            write_tar_shard(out, f"{number:05d}", shard)
        else:
            write_parquet_shard(out / f"images-{number:05d}.parquet", shard)
    _write_attribution(out / "ATTRIBUTION.csv", samples)
    (out / SUMS).write_text("".join(_sums(out)), encoding="utf-8")


def _chunks(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), SAMPLES_PER_SHARD):
        yield samples[start : start + SAMPLES_PER_SHARD]


def _write_attribution(path: Path, samples: Sequence[Sample]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", "object", "author", "source", "page", "url", "license", "license_url", "changes"])
        for s in samples:
            o = ORIGINS[s.row.source]
            row = [s.key, s.row.object, s.row.author, o.name, o.page, s.meta["url"], o.license, o.license_url]
            writer.writerow([*row, CHANGES])


def _sums(folder: Path) -> Iterator[str]:
    """Lines as sha256sum writes them, of all built files."""
    built = (p for p in folder.iterdir() if p.suffix in {".tar", ".parquet", ".json", ".csv"})
    for path in sorted(built):
        yield f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"


def _check(archives: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        build(archives, Path(folder))
        new = set((Path(folder) / SUMS).read_text(encoding="utf-8").splitlines())
    old = set((DATA / SUMS).read_text(encoding="utf-8").splitlines())
    for line in sorted(new ^ old):
        print("built:" if line in new else "wanted:", line, file=sys.stderr)
    print("the sample differs" if new != old else "the sample is rebuilt byte for byte")
    return int(new != old)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path, default=ROOT / ".cache" / "sample", help="folder of fetched archives")
    parser.add_argument("--out", type=Path, default=DATA, help="folder to build into")
    parser.add_argument("--check", action="store_true", help="compare with what is checked in, change nothing")
    arguments = parser.parse_args()
    fetch_missing(arguments.archives, {row.source for row in read_rows()} & ARCHIVES.keys())
    if arguments.check:
        return _check(arguments.archives)
    build(arguments.archives, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
