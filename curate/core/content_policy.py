"""The policy of content for a page that brings its own styles and scripts: a browser runs these and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re

HEADER = "Content-Security-Policy"


def content_policy(page: str, **sources: str) -> str:
    """What a browser may take for `page`: its own styles and scripts, known by their digests, and `sources`.

    Args:
        page: HTML with `<style>` and `<script>` without attributes.
        sources: of further kinds, e.g. `img="data:"`, `connect="'self'"`.
    """
    given = {"default": "'none'", "script": _digests(page, "script"), "style": _digests(page, "style"), **sources}
    kinds = [f"{kind}-src {source}" for kind, source in given.items()]
    return "; ".join([*kinds, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])


def digest_of(text: str) -> str:
    """A style or script as a policy of content names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _digests(page: str, tag: str) -> str:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return " ".join(map(digest_of, found)) or "'none'"
