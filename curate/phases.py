"""What the program is busy with while nothing can be counted: said when it begins, and with how long it usually takes.

A phase is something a person waits for: importing, loading a model, fetching weights, splitting, writing the card.
Whoever is interrupted meanwhile says which phase it is in (`current`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_running: list[str] = []


@contextmanager
def phase(what: str, usual: float | None = None) -> Iterator[None]:
    """Say on stderr what goes on until the block ends.

    Args:
        what: as a person would say it, e.g. "loading the model".
        usual: seconds that it usually takes, where that is known.
    """
    del usual
    _running.append(what)
    try:
        yield
    finally:
        _running.remove(what)


def current() -> str | None:
    """The innermost phase that is going on, None where there is none."""
    return _running[-1] if _running else None
