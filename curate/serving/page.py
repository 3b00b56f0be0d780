"""The page to try a policy on: one file, that loads nothing from anywhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from curate.core.content_policy import HEADER, content_policy


@cache
def page() -> str:
    """The page."""
    return (files("curate.serving") / "page.html").read_text(encoding="utf-8")


PAGE_HEADERS = {HEADER: content_policy(page(), img="data: blob:", connect="'self'")}
