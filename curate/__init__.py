"""curate: judge image data sets under a written safety policy, and split them without losing a byte.

The program is `python -m curate`; docs/design.md is the map of the house. For notebooks:

>>> curate.load_run("runs/laion_subset").annotations()
>>> curate.judge([image], policy="kids")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.core.version import __version__

if TYPE_CHECKING:
    from curate.api import LoadedRun, ModelWarning, judge, load_run

__all__ = ("LoadedRun", "ModelWarning", "__version__", "judge", "load_run")


def __getattr__(name: str) -> object:
    """Public names are loaded when they are asked for: the program starts in a tenth of a second without them."""
    if name in __all__:
        from curate import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
