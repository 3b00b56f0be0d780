"""What of a source is no part of any sample, or not of the one it was meant for, by reason: nothing is in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from curate.console.untrusted_text import one_line
from curate.core.types import PassedOver

Note = Callable[[str, str], None]
"""Told the reason, in words of a plural, and a name."""

HIDDEN = "hidden files"
MACOS_TWINS = "files of macOS beside the others"
SYMBOLIC_LINKS = "symbolic links"
DANGLING = "links to nothing"
SPECIAL = "devices and pipes"
SPARSE = "sparse files"
NO_PICTURE = "files that are no pictures"
ORPHANS = "captions without an image"
UNREADABLE = "files that cannot be read"
OUTSIDE = "links out of the folder"
RESERVED = "names that webdataset keeps for itself"
KEY_COMES_BACK = "keys that come back behind others"
ENCRYPTED = "encrypted files"
OTHER_COMPRESSION = "files of a compression that is not read"
LISTS = "lists of the pictures beside them"
CUT = "samples too large for one, and cut"
NUMBERED = "samples of several numbered pictures"

_ONE_TO_WEBDATASET = "names like photo.12.jpg, of one stem, are one sample to webdataset"

MENDS: Mapping[str, str] = {
    KEY_COMES_BACK: "captions behind all the images are not theirs: write the tar again with `tar --sort=name`",
    **dict.fromkeys((CUT, NUMBERED), f"{_ONE_TO_WEBDATASET}: dataset.suffix_from=last_dot makes each its own"),
    SYMBOLIC_LINKS: "write the tar again with `tar --dereference`",
    ENCRYPTED: "decrypt the zip: unzip it with its password, and zip it again",
    OTHER_COMPRESSION: "write the zip again with the usual compression: unzip, and zip -r",
    LISTS: "name the list itself as a shard (dataset.shards=.../metadata.jsonl) to judge with what it says of each",
    SPARSE: "write the tar again without `--sparse`",
}
"""What to do about a reason, where there is something."""


def is_twin(path: bytes) -> bool:
    """Whether a path is of what macOS writes beside a file, or into archives."""
    if b"._" not in path and b"__MACOSX/" not in path:
        return False
    return path.startswith(b"__MACOSX/") or b"/__MACOSX/" in path or path.rpartition(b"/")[2].startswith(b"._")


def why_hidden(path: bytes) -> str:
    """The reason for a path whose name begins with a dot, or that is a twin."""
    return MACOS_TWINS if is_twin(path) else HIDDEN


def in_words(reason: str, one: PassedOver) -> str:
    """How many, the first, and what to do, in one line."""
    mend = f"; {MENDS[reason]}" if reason in MENDS else ""
    return one_line(f"{one.count} {reason}, first {one.first}") + mend


def ignored(reason: str, name: str) -> None:
    """For whoever reads a source that was told of before."""


class PassedOverLedger:
    """Counts by reason, in the order in which reasons come up.

    Attributes:
        found: by reason.
    """

    def __init__(self) -> None:
        self.found: dict[str, PassedOver] = {}

    def add(self, reason: str, name: str) -> None:
        """One more."""
        known = self.found.get(reason)
        first = name[:200] if known is None else known.first
        self.found[reason] = PassedOver(count=1 if known is None else known.count + 1, first=first)


def together(all_found: Iterable[Mapping[str, PassedOver]]) -> dict[str, PassedOver]:
    """The sums over several, the first name of each that has one."""
    sums: dict[str, PassedOver] = {}
    for found in all_found:
        for reason, one in found.items():
            known = sums.get(reason)
            count = one.count + (known.count if known else 0)
            sums[reason] = PassedOver(count=count, first=known.first if known else one.first)
    return sums
