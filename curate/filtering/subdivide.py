"""Train, validation and test by a hash of the key.

A key's part depends on nothing but the key, the seed and the shares: rows that are added later move nobody, and equal
keys stay together. SHA-256, because the hashes of Python and polars may change between versions.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from itertools import accumulate

import polars as pl

from curate.core.errors import InputError

_NAME = re.compile(r"\w+", re.ASCII)


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares that do not make a whole, or that `datasets` could not name.

    Raises:
        InputError: names the setting.
    """
    for name in shares:
        if not _NAME.fullmatch(name) or name == "all":
            raise InputError(f"filter.subdivide.{name}: not a usable name; take letters, digits and _, but not `all`")
    if shares and not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise InputError(f"filter.subdivide: the shares add up to {sum(shares.values()):.6g}; make them add up to 1")


def part_of(key: str, shares: Mapping[str, float], seed: int) -> str:
    """The part that `key` belongs to."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()[:8]) / 2**64
    for name, bound in zip(shares, accumulate(shares.values()), strict=True):
        if drawn < bound:
            return name
    return next(reversed(list(shares)))


def part_column(keys: pl.Expr, shares: Mapping[str, float], seed: int) -> pl.Expr:
    """`part_of` for a column of keys."""
    return keys.map_elements(lambda key: part_of(key, shares, seed), return_dtype=pl.String)
