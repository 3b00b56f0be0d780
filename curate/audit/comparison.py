"""Two generators side by side: paired by prompt and by the picture's number, judged alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from curate.audit.intervals import difference
from curate.audit.outcomes import JUDGED, OUTCOMES
from curate.audit.record import Record, audit_in
from curate.audit.table import ALL_SETS, ANY, by_prompt
from curate.core.errors import InputError
from curate.storage.factory import open_store
from curate.storage.store import Store

SCHEMA = pl.Schema(
    {
        "policy": pl.String(),
        "prompt_set": pl.String(),
        "category": pl.String(),
        "category_name": pl.String(),
        "prompts": pl.Int64(),
        "pairs": pl.Int64(),
        "unsafe_first": pl.Int64(),
        "unsafe_second": pl.Int64(),
        "only_first": pl.Int64(),
        "only_second": pl.Int64(),
        "share_first": pl.Float64(),
        "share_second": pl.Float64(),
        "difference": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "design_effect": pl.Float64(),
        "p_value": pl.Float64(),
    }
)
"""Columns of a comparison. `pairs` are pictures that both generators made and the safeguard judged, `only_first` those
pairs of which the first generator's picture alone is unsafe; `difference` is the second's share less the first's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A finished audit.

    Attributes:
        place: as a person named it.
    """

    place: str
    record: Record
    outcomes: pl.DataFrame

    @property
    def name(self) -> str:
        """The generator's name."""
        return str(self.record["generator"]["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two audits side by side.

    Attributes:
        table: in `SCHEMA`.
        seeds_differ: pairs whose seeds are not the same.
        unpaired_first, unpaired_second: pictures that the other has none for.
        one_sided: pairs of which one side alone was judged, by the fates of both.
    """

    first: Audited
    second: Audited
    table: pl.DataFrame
    seeds_differ: int
    unpaired_first: int
    unpaired_second: int
    one_sided: Mapping[str, int]


def load_audit(place: str) -> Audited:
    """A finished audit, from its folder.

    Raises:
        InputError: there is none, or it is not finished.
    """
    store: Store = open_store(place)
    record = audit_in(place, store)
    if "judged_by" not in record or not store.exists(OUTCOMES):
        raise InputError(f"{place}: this audit is not finished; run its command again to go on")
    with store.local(OUTCOMES) as path:
        return Audited(place=place, record=record, outcomes=pl.read_parquet(path))


def compare(first: Audited, second: Audited) -> Comparison:
    """Two audits of the same prompts, judged alike.

    Raises:
        InputError: they were judged differently, or an id stands for two prompts, or they have none in common.
    """
    _refuse_other_judge(first, second)
    keys = ["policy", "prompt_id", "number"]
    pairs = first.outcomes.join(second.outcomes, on=keys, how="inner", suffix="_second", maintain_order="left")
    if pairs.is_empty():
        raise InputError(f"{first.place} and {second.place}: have no prompt in common, by id and number of the picture")
    _refuse_other_prompts(pairs, first, second)
    both = pairs.filter((pl.col("fate") == JUDGED) & (pl.col("fate_second") == JUDGED))
    one_sided = pairs.filter((pl.col("fate") == JUDGED) != (pl.col("fate_second") == JUDGED))
    fates = one_sided.group_by("fate", "fate_second", maintain_order=True).len().iter_rows()
    return Comparison(
        first=first,
        second=second,
        table=pl.DataFrame(list(_rows(both, first.record["judged_by"]["categories"])), schema=SCHEMA),
        seeds_differ=pairs.filter(pl.col("seed").ne_missing(pl.col("seed_second"))).height,
        unpaired_first=first.outcomes.height - pairs.height,
        unpaired_second=second.outcomes.height - pairs.height,
        one_sided={f"{one}, {other}": count for one, other, count in fates},
    )


def _rows(both: pl.DataFrame, categories: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, object]]:
    for policy, names in categories.items():
        under = both.filter(pl.col("policy") == policy)
        sets = under["prompt_set"].unique(maintain_order=True).to_list()
        for prompt_set in [ALL_SETS, *(sets if len(sets) > 1 else [])]:
            chosen = under if prompt_set == ALL_SETS else under.filter(pl.col("prompt_set") == prompt_set)
            for code, name in {ANY: "any category", **names}.items():
                about = {"policy": policy, "prompt_set": prompt_set, "category": code, "category_name": name}
                yield about | _paired(chosen, code)


def _paired(pairs: pl.DataFrame, code: str) -> dict[str, object]:
    one, other = (pl.col(f"unsafe{of}") & _inside(code, of) for of in ("", "_second"))
    sums = by_prompt(
        pairs,
        [
            pl.col("fate").is_not_null().alias("pairs"),
            one.alias("first"),
            other.alias("second"),
            (one & ~other).alias("only_first"),
            (other & ~one).alias("only_second"),
        ],
    )
    total: dict[str, Any] = {name: int(sums[name].sum()) for name in sums.columns[1:]}
    found = asdict(difference(*(sums[name].to_numpy() for name in ("only_first", "only_second", "pairs"))))
    n = total["pairs"]
    return {
        "prompts": sums.height,
        "pairs": n,
        "unsafe_first": total["first"],
        "unsafe_second": total["second"],
        "share_first": total["first"] / n if n else None,
        "share_second": total["second"] / n if n else None,
        "difference": found.pop("value") if n else None,
        **{name: value if n or name in ("only_first", "only_second") else None for name, value in found.items()},
    }


def _inside(code: str, of: str) -> pl.Expr:
    return pl.lit(value=True) if code == ANY else (pl.col(f"category{of}") == code).fill_null(value=False)


def _refuse_other_judge(first: Audited, second: Audited) -> None:
    one, other = first.record["judged_by"], second.record["judged_by"]
    for what in ("model", "judge", "policies", "categories", "rules"):
        if one[what] != other[what]:
            raise InputError(
                f"{first.place} and {second.place}: were not judged alike ({what}: {one[what]}, {other[what]}); "
                "judge both with the same settings"
            )


def _refuse_other_prompts(pairs: pl.DataFrame, first: Audited, second: Audited) -> None:
    for column in ("prompt", "negative_prompt"):
        other = pairs.filter(pl.col(column).ne_missing(pl.col(f"{column}_second")))
        if not other.is_empty():
            row = other.row(0, named=True)
            texts = f"{str(row[column])[:60]!r}, {str(row[column + '_second'])[:60]!r}"
            raise InputError(
                f"{first.place} and {second.place}: prompt {row['prompt_id']!r} is not the same ({texts}); "
                "take prompts of the same file, or with ids of their own"
            )
