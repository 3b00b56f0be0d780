"""Settings for the whole test suite."""

from __future__ import annotations

import os

from hypothesis import settings

# Time is never asserted; in CI the same examples run every time, elsewhere new ones are looked for.
settings.register_profile("curate", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("curate")
