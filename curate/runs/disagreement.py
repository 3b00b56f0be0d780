"""Where the policies of a run differ about the same picture: Unsafe under one, Safe under another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import permutations

import polars as pl

from curate.core.types import Rating
from curate.runs.annotation_table import scanned
from curate.runs.commits import Commit
from curate.runs.compaction.reading import AnnotationFiles

PAIRS_UP_TO = 3
"""With more policies than these, each is compared with all others together: nobody reads twenty pairs."""
WINDOW = 500_000
"""Rows of a shard that are compared at a time: what bounds memory, whatever a shard's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Pictures that one policy finds Unsafe and another one Safe.

    Attributes:
        unsafe_under: the policy that finds them Unsafe.
        safe_under: the one that finds them Safe; None is any of the others.
        samples: how many.
        categories: of the Unsafe answers, by code, the most frequent first.
    """

    unsafe_under: str
    safe_under: str | None
    samples: int
    categories: Mapping[str, int] = field(default_factory=dict)


def disagreements(files: AnnotationFiles, commits: Mapping[str, Mapping[str, Commit]]) -> tuple[Disagreement, ...]:
    """What the policies of a run differ in, those with the most samples first; all of them, zeros included.

    For two or three policies one for each ordered pair, for more one for each policy against all others. A sample that
    has no label under one of two policies counts for neither. The annotations of each shard are joined by index, one
    shard after the other and `WINDOW` rows at a time: this costs a pass over three columns of every file (index, rating
    and category), and memory for one window of one shard.

    Args:
        files: where the rows stand.
        commits: by policy and shard id; only shards that each policy has a commit for are compared.
    """
    policies = list(commits)
    counts = {pair: Counter[str]() for pair in _pairs(policies)}
    for shard in _common(commits):
        for rows in _windows(files, [commits[policy][shard] for policy in policies]):
            for pair, counted in counts.items():
                counted.update(_counted(rows, policies, *pair))
    found = [_disagreement(*pair, counted) for pair, counted in counts.items()]
    return tuple(sorted(found, key=lambda one: -one.samples))


def _pairs(policies: Sequence[str]) -> list[tuple[str, str | None]]:
    if len(policies) <= PAIRS_UP_TO:
        return list(permutations(policies, 2))
    return [(policy, None) for policy in policies]


def _common(commits: Mapping[str, Mapping[str, Commit]]) -> list[str]:
    """Shards that are finished under all policies."""
    of_each = [of.keys() for of in commits.values()]
    return sorted(set(of_each[0]).intersection(*of_each[1:])) if of_each else []


def _windows(files: AnnotationFiles, commits: Sequence[Commit]) -> Iterator[pl.DataFrame]:
    """The rows of a shard that are not rated alike by all: columns rating and category of each policy, by number."""
    with ExitStack() as opened:
        paths = [opened.enter_context(files.local(commit)) for commit in commits]
        for start in range(0, max(commit.rows for commit in commits), WINDOW):
            joined = _columns(scanned(paths[0]), 0, start)
            for number, path in enumerate(paths[1:], start=1):
                other = _columns(scanned(path), number, start)
                joined = joined.join(other, on=["index", "image_name"], nulls_equal=True)
            differ = [pl.col("rating0") != pl.col(f"rating{number}") for number in range(1, len(paths))]
            # With three policies the second and the third may differ where the first has no label.
            differ += [pl.col("rating0").is_null()]
            yield joined.filter(pl.any_horizontal(differ)).collect(engine="streaming")


def _columns(rows: pl.LazyFrame, number: int, start: int) -> pl.LazyFrame:
    window = rows.filter(pl.col("index").is_between(start, start + WINDOW - 1))
    return window.select(
        "index", "image_name", *(pl.col(name).alias(f"{name}{number}") for name in ("rating", "category"))
    )


def _counted(rows: pl.DataFrame, policies: Sequence[str], unsafe: str, safe: str | None) -> dict[str, int]:
    """Samples of `rows` by category, of those that are Unsafe under the one policy and Safe under the other."""
    one = policies.index(unsafe)
    others = [n for n, policy in enumerate(policies) if (policy == safe if safe else policy != unsafe)]
    is_safe = pl.any_horizontal([pl.col(f"rating{n}") == Rating.SAFE.value for n in others])
    found = rows.filter((pl.col(f"rating{one}") == Rating.UNSAFE.value) & is_safe)
    return dict(found.group_by(pl.col(f"category{one}").fill_null("")).len().iter_rows())


def _disagreement(unsafe: str, safe: str | None, counted: Counter[str]) -> Disagreement:
    categories = dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
    return Disagreement(unsafe_under=unsafe, safe_under=safe, samples=counted.total(), categories=categories)
