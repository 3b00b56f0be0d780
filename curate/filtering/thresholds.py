"""Cut-offs on p_unsafe as three columns that rules can use.

`unsafe`    the row counts as unsafe: p_unsafe >= the unsafe threshold, or the model's own rating where there is none.
`review`    the row lies in the band [review threshold, unsafe).
`unscored`  a threshold would decide, but the row has no p_unsafe to hold against it.

A category's thresholds apply to rows whose answer names that category; each of the two falls back to the general one.
Where rows have `category_scores`, a threshold of a category's own also takes in the rows whose score of that category
reaches it, whatever their answer names: so it can only make a row's fate stricter.
Comparisons are made in float32, as p_unsafe is stored: a printed 0.7 is then on the same side as the stored 0.7.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from curate.core.errors import InputError
from curate.core.types import Rating
from curate.settings.filter import FilterSettings

COLUMNS = ("unsafe", "review", "unscored")
_NO_CATEGORY = "NA"


def check_thresholds(settings: FilterSettings, codes: Iterable[str] | None) -> None:
    """Refuse categories no policy has (None: that is not known), and bands that can hold nothing.

    Raises:
        InputError: names the setting.
    """
    if codes is not None:
        _check_codes(settings, [*dict.fromkeys(codes), _NO_CATEGORY])
    _check_band("filter.thresholds", settings.thresholds.unsafe, settings.thresholds.review)
    for code in settings.by_category:
        _check_band(f"filter.by_category.{code}", _of(settings, code, "unsafe"), _of(settings, code, "review"))


def threshold_columns(settings: FilterSettings, share: pl.Expr) -> list[pl.Expr]:
    """The columns `unsafe`, `review` and `unscored` over `rating`, `category`, `p_unsafe` and, where a category has
    thresholds of its own, `category_scores`.

    Args:
        settings: the thresholds.
        share: what a calibration made of p_unsafe, as a factor; scores of categories are calibrated by it too.
    """
    p = pl.col("p_unsafe").fill_nan(None)
    unsafe_at, review_at = _cut_off(settings, "unsafe"), _cut_off(settings, "review")
    unsafe = pl.when(unsafe_at.is_null()).then(pl.col("rating") == Rating.UNSAFE.value).otherwise(p >= unsafe_at)
    unsafe |= _reached(settings, "unsafe", share)
    review = pl.when(review_at.is_null()).then(pl.lit(value=False)).otherwise(p >= review_at)
    review = (review | _reached(settings, "review", share)) & ~unsafe
    unscored = p.is_null() & (unsafe_at.is_not_null() | (review_at.is_not_null() & ~unsafe))
    return [unsafe.alias("unsafe"), review.alias("review"), unscored.alias("unscored")]


def _cut_off(settings: FilterSettings, which: str) -> pl.Expr:
    general = pl.lit(getattr(settings.thresholds, which), dtype=pl.Float32)
    codes = list(settings.by_category)
    if not codes:
        return general
    values = pl.Series([_of(settings, code, which) for code in codes], dtype=pl.Float32)
    return pl.col("category").replace_strict(pl.Series(codes), values, default=general, return_dtype=pl.Float32)


def _reached(settings: FilterSettings, which: str, share: pl.Expr) -> pl.Expr:
    """Whether the score of any category reaches that category's own threshold; not where there are no scores."""
    own = {code: value for code, cuts in settings.by_category.items() if (value := getattr(cuts, which)) is not None}
    reached = [_score(code, share) >= pl.lit(value, dtype=pl.Float32) for code, value in own.items()]
    return pl.any_horizontal(pl.lit(value=False), *(one.fill_null(value=False) for one in reached))


def _score(code: str, share: pl.Expr) -> pl.Expr:
    """In float32. Of a p_unsafe of 0 nobody can tell the categories' shares: each then has all that it became."""
    of_code = pl.element().struct.field("score").filter(pl.element().struct.field("category") == code)
    score = pl.col("category_scores").list.eval(of_code).list.first()
    return (score * share).fill_nan(pl.col("p_unsafe")).cast(pl.Float32)


def _of(settings: FilterSettings, code: str, which: str) -> float | None:
    own: float | None = getattr(settings.by_category[code], which)
    general: float | None = getattr(settings.thresholds, which)
    return general if own is None else own


def _check_codes(settings: FilterSettings, known: list[str]) -> None:
    for code in settings.by_category:
        if code not in known:
            raise InputError(f"filter.by_category.{code}: no policy of this run has it; codes are {', '.join(known)}")


def _check_band(where: str, unsafe: float | None, review: float | None) -> None:
    if unsafe is not None and review is not None and review >= unsafe:
        raise InputError(
            f"{where}: review is {review} and unsafe {unsafe}, so the band [review, unsafe) holds nothing; "
            "set review below unsafe"
        )
