"""How much of the proof a test runs: CI's share, or all of it with CURATE_RELIABILITY=full (`make reliability`)."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("CURATE_RELIABILITY") == "full"


def full_or_share(full: T, share: T) -> T:
    """`full` in `make reliability`, `share` in CI."""
    return full if FULL else share
