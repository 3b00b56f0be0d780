"""The laws that an audit can see, and the three things a check can say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Law(StrEnum):
    """What must hold in a run's folder. Law 6 (thresholds change without inference) leaves no trace in a folder."""

    ONE_FATE = "1 one fate for each sample"
    FAIL_CLOSED = "2 fail closed"
    LOSSLESS = "3 lossless"
    OWN_CATEGORIES = "4 labels of the policy only"
    ONE_FINGERPRINT = "5 one fingerprint"
    THE_PLAN = "7 as planned"
    NO_LEFTOVERS = "8 nothing unfinished counts"


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation: which law, where (a file of the folder, and the place in it), and what is wrong there."""

    law: Law
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Note:
    """Worth knowing and no violation; equal `what`s are counted, the first `where` is shown."""

    what: str
    where: str


@dataclass(frozen=True, slots=True)
class Checked:
    """So many more of `unit` (plural) were held against a law."""

    law: Law
    unit: str
    count: int = 1


Evidence = Finding | Note | Checked
