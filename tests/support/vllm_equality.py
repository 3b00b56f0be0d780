"""When two runs with vLLM are the same: its numerics depend on the batch, so ratings near one half may differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NEAR = 0.02
"""How close to one half p_unsafe must be for two runs of vLLM to be allowed to differ (the design's tolerance)."""

EXACT = ("key", "shard", "index", "sha256", "status", "width", "height", "policy", "meta")


def compare(found: Sequence[Mapping], undisturbed: Sequence[Mapping]) -> None:
    """The design's equality with vLLM: all exactly, but for ratings so close to one half that batching decides."""
    assert [tuple(r[c] for c in EXACT) for r in found] == [tuple(r[c] for c in EXACT) for r in undisturbed]
    for row, other in zip(found, undisturbed, strict=True):
        if row["rating"] != other["rating"]:
            assert abs(row["p_unsafe"] - 0.5) < NEAR, (row, other)
            assert abs(other["p_unsafe"] - 0.5) < NEAR, (row, other)
