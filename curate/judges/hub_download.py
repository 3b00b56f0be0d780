"""How much of a model has come from the hub, as a note of the phase that waits for it."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from curate.console.phases import Phase
from curate.console.terminal import size


def told_to(phase: Phase) -> type[tqdm[Any]]:
    """A kind of bar for `huggingface_hub` that draws nothing and tells `phase` instead."""
    most = 0.0

    class Told(tqdm):  # type: ignore[type-arg]
        """The hub's client makes one for the bytes from the network, one for those on the disk, one for the files.
        Of the first two either may stand still.
        """

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._bytes = options.get("unit") == "B"
            super().__init__(*arguments, **options | {"disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal most
            self.n += n or 0
            if self._bytes and self.n > most:
                most = self.n
                of = f" of {size(self.total)}" if self.total else ""
                phase.note = f"{size(self.n)}{of}"
            return None

    return Told
