"""What every format of split files offers. Another format is one new file and one line in `formats`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from curate.filtering.decisions import Row
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings


class SplitWriter(Protocol):
    """One split file in progress. What `add` was given is in the file after `close`, in order."""

    def add(self, row: Row) -> None:
        """Append one sample; never holds more than a row group of them."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of split files.

    Attributes:
        suffix: of the file names.
        open: starts a file of a part at a local path that holds the samples themselves; None for a format that only
            names them, so that no source is read again.
        own_card: whether the split needs a data set card of its own, since one card has one builder.
    """

    suffix: str
    open: Callable[[Path, str, FilterSettings, DatasetSettings], SplitWriter] | None = None
    own_card: bool = False
