"""Packages that are measured against and that the product does not need: `requirements-scale.txt`.

`make bench` installs them into an environment of their own. Its packages come last in the search path, so that the
product's versions of everything else are used.
"""

from __future__ import annotations

import importlib
import site
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(".cache/bench-contenders-scale")


def load(name: str) -> ModuleType | str:
    """The module `name`, or the reason why it cannot be measured."""
    for packages in FOLDER.absolute().glob("lib/python*/site-packages"):
        if str(packages) not in sys.path:
            site.addsitedir(str(packages))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        return f"not installed ({error}); `make bench` installs it where it can"
