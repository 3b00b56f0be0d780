"""Which samples of a run a person is to look at: at random from each stratum, or all that lie in the review band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from curate.core.errors import InputError
from curate.filtering.manifest import read_manifests
from curate.filtering.rules import FAILED, REVIEW
from curate.filtering.stage import Stage, prepare
from curate.review.strata import Kind, allocate, merged, stratum
from curate.runs.run_folder import Run
from curate.settings.filter import FilterSettings

Purpose = Literal["audit", "triage"]
"""An audit says how wrong a whole is; triage mends what lies in the band, and says nothing of the rest."""

_COLUMNS = ("key", "shard", "index", "image_name", "sha256", "policy", "rating", "category", "p_unsafe", "split")

_NEAREST = pl.col("p_unsafe").fill_null(2.0)
"""Nearest to the unsafe ones, what has no p_unsafe before all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Samples that were drawn.

    Attributes:
        rows: one for each in the order of the plan; `_COLUMNS`, `stratum` and `inclusion_probability`.
        kinds: every stratum that was drawn from.
        digest: of the rule set whose splits these are.
    """

    rows: pl.DataFrame
    kinds: tuple[Kind, ...]
    digest: str


def finished_stage(run: Run) -> Stage:
    """The splits of a run as they stand.

    Raises:
        InputError: there are none, or annotations have changed since.
    """
    manifest = next((m for m in reversed(read_manifests(run.store)) if m.result is not None and m.rules), None)
    if manifest is None:
        raise InputError(f"{run.store.uri('')}: nothing is split yet; start `curate run` or `filter` before `review`")
    settings = FilterSettings(**manifest.rules)
    stage = prepare(run.store, settings, run.settings.dataset, run.plan.shards, run.settings.policies)
    if stage.manifest.digest != manifest.digest:
        raise InputError(f"{run.store.uri('')}: rows have changed since it was split; start `filter` before `review`")
    return stage


def draw(stage: Stage, purpose: Purpose, reviews: int, seed: int) -> Drawn:
    """Samples for `reviews` looks; a triage list takes those nearest to the unsafe ones first.

    Args:
        stage: finished splits.
        purpose: an audit is drawn from every split but `failed`, where nothing was judged; triage from `review`.
        reviews: how many samples at most.
        seed: of the draw.

    Raises:
        InputError: there is nothing to draw from.
    """
    audit = purpose == "audit"
    pool, kinds = _gather(stage, audit, reviews, seed)
    if pool.is_empty():
        where = "no split holds anything that was judged" if audit else f"nothing is in {REVIEW}"
        raise InputError(f"{stage.store.uri('')}: {where}, so there is nothing to look at")
    if audit:
        together = merged(kinds, reviews)
        kinds = _joined(kinds, together)
        counts = allocate(kinds, reviews)
        pool = pool.sort("order").with_columns(pl.col("stratum").replace_strict(together, return_dtype=pl.String))
        pool = pool.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64).over("stratum"))
        taken = pool.filter(pl.col("place") < pl.col("stratum").replace_strict(counts, return_dtype=pl.Int64))
        shares = {kind.name: counts[kind.name] / kind.population for kind in kinds}
        probability = pl.col("stratum").replace_strict(shares, return_dtype=pl.Float64)
    else:
        taken = pool.sort(_NEAREST, descending=True).head(reviews)
        probability = pl.lit(None, dtype=pl.Float64)
    rows = taken.sort("position", "index").with_columns(inclusion_probability=probability)
    columns = [*_COLUMNS, "stratum", "inclusion_probability"]
    return Drawn(rows=rows.select(columns), kinds=tuple(kinds) if audit else (), digest=stage.manifest.digest)


def _gather(stage: Stage, audit: bool, most: int, seed: int) -> tuple[pl.DataFrame, list[Kind]]:
    """At most `most` candidates of each stratum, by chance or the nearest, and every stratum's size, from one pass."""
    pool: pl.DataFrame | None = None
    sizes: list[pl.DataFrame] = []
    for window in _windows(stage, audit, seed):
        sizes.append(window.group_by("stratum", "split").agg(pl.len(), total=pl.col("p_unsafe").fill_null(0.5).sum()))
        pool = window if pool is None else pl.concat([pool, window])
        if audit:
            pool = pool.sort("order").with_columns(place=pl.int_range(pl.len()).over("stratum"))
            pool = pool.filter(pl.col("place") < most).drop("place")
        else:
            pool = pool.sort(_NEAREST, descending=True).head(most)
    if pool is None:
        return pl.DataFrame(), []
    summed = pl.concat(sizes).group_by("stratum", "split").agg(pl.col("len").sum(), pl.col("total").sum())
    kinds = [
        Kind(name=name, split=split, population=count, p_unsafe=total / count)
        for name, split, count, total in summed.sort("stratum").iter_rows()
    ]
    return pool, kinds


def _joined(kinds: Sequence[Kind], together: Mapping[str, str]) -> list[Kind]:
    """The strata that `merged` makes of kinds; what is not `clean` may be of several splits."""
    groups: dict[str, list[Kind]] = {}
    for kind in kinds:
        groups.setdefault(together[kind.name], []).append(kind)
    return [_one(name, group) for name, group in sorted(groups.items())]


def _one(name: str, group: Sequence[Kind]) -> Kind:
    population = sum(kind.population for kind in group)
    p_unsafe = sum(kind.p_unsafe * kind.population for kind in group) / population
    return Kind(name=name, split=group[0].split, population=population, p_unsafe=p_unsafe)


def _windows(stage: Stage, audit: bool, seed: int) -> Iterator[pl.DataFrame]:
    wanted = pl.col("split") != FAILED if audit else pl.col("split") == REVIEW
    for position, shard in enumerate(stage.shards):
        for window in stage.decisions(shard.id, list(_COLUMNS)):
            order = pl.struct("shard", "index").hash(seed)
            rows = window.filter(wanted).with_columns(stratum(), order=order, position=pl.lit(position))
            if not rows.is_empty():
                yield rows
