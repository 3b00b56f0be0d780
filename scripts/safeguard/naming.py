"""How often a rationale names what its picture shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from safeguard.kinds import KINDS
from safeguard.split import without_article


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Of so many pictures, in how many the rationale names the very object, its head noun, the sort of thing it is.

    `sort` counts a picture whose rationale has the clause of its kind, or none where its kind has none.
    """

    pictures: int
    exact: int
    head: int
    sort: int


def naming(rows: Path, run: Path) -> Naming:
    """Over the rows of `rows` that are no exceptions, as they were judged in `run`, in one shard."""
    gold = pl.read_parquet(rows, columns=["object", "kind", "exception"])
    said = pl.read_parquet(run / "annotations" / "*" / "*.parquet").sort("shard", "index")
    plain = gold.with_columns(said["rationale"].fill_null("")).filter(~pl.col("exception"))
    checks = [_names(*row) for row in plain.select("object", "kind", "rationale").iter_rows()]
    exact, head, sort = (sum(column) for column in zip(*checks, strict=True))
    return Naming(pictures=len(checks), exact=exact, head=head, sort=sort)


def _names(name: str, kind: str, rationale: str) -> tuple[bool, bool, bool]:
    bare = without_article(name)
    text = rationale.lower()
    clauses = [rule.clause for rule in KINDS.values() if rule.clause and f", {rule.clause}." in rationale]
    wanted = KINDS[kind].clause
    return bare in text, bare.split()[-1] in text, clauses == [wanted] if wanted else not clauses
