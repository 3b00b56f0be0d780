"""Rules: settings -> the split and the reason of each annotation row.

The first split whose condition holds wins; a row that matches none goes to `review`. Two things stand above every
rule, so that no rule can undo them (fail closed):

- what was not judged goes to `failed`;
- what a threshold would decide, but has no p_unsafe, goes to `review`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from curate.core.errors import InputError
from curate.core.types import Rating, Status
from curate.filtering.calibrating import calibrated_column
from curate.filtering.conditions import constant, parse_condition
from curate.filtering.overrides import VERDICT, overruled, reason_with_verdict, with_verdicts
from curate.filtering.thresholds import COLUMNS, check_thresholds, threshold_columns
from curate.runs.annotation_table import SCHEMA
from curate.settings.filter import FilterSettings

CLEAN, REVIEW, UNSAFE, FAILED = "clean", "review", "unsafe", "failed"
_AS_JUDGED = "_as_judged"
"""Behind the names of columns that the rules see something else in."""
RESERVED = frozenset({"annotations", "removed", "default", "all"})

_TYPES: dict[str, pl.DataType] = {
    "float": pl.Float64(),
    "int": pl.Int64(),
    "string": pl.String(),
    "bool": pl.Boolean(),
}
_NAME = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*")
_IN_PART = pl.col("detail").is_not_null()
"""Of a row with a label: the sample holds more than was judged. What nobody has judged is not clean."""

_JUDGED = (pl.col("status") == Status.LABELLED.value) & pl.col("rating").is_in([r.value for r in Rating])


@dataclass(frozen=True, slots=True)
class Rules:
    """Checked rules.

    Attributes:
        splits: every split a row can get, strictest first: failed, unsafe, review, others as declared, clean.
        fields: declared sidecar fields, by type name.
        overrides: verdicts of people that stand above the model's; None where there are none.
    """

    splits: tuple[str, ...]
    fields: dict[str, str]
    _conditions: tuple[tuple[str, pl.Expr], ...]
    _settings: FilterSettings
    overrides: pl.DataFrame | None = field(default=None, compare=False, repr=False)

    def with_overrides(self, overrides: pl.DataFrame | None) -> Rules:
        """The same rules, which see these verdicts (`curate.filtering.overrides`) in place of the model's."""
        return replace(self, overrides=overrides)

    def apply(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """`rows` of the annotation schema with the columns `p_calibrated`, `split` and `reason`."""
        rows = rows.with_columns(calibrated_column(self._settings.calibration))
        seen: dict[str, pl.Expr] = {}
        if self._settings.calibration is not None:
            seen["p_unsafe"] = pl.col("p_calibrated")
        if self.overrides is not None:
            rows = with_verdicts(rows, self.overrides)
            seen |= overruled(seen.get("p_unsafe", pl.col("p_unsafe")))
        as_judged = {f"{name}{_AS_JUDGED}": pl.col(name) for name in seen}
        decided = self._decided(rows.with_columns(**as_judged, **seen), self._share())
        if self.overrides is not None:
            decided = decided.with_columns(reason_with_verdict()).drop(VERDICT)
        return decided.with_columns(**{name: pl.col(f"{name}{_AS_JUDGED}") for name in seen}).drop(as_judged)

    def _share(self) -> pl.Expr:
        """What a calibration made of p_unsafe, as a factor."""
        if self._settings.calibration is None:
            return pl.lit(1.0)
        return pl.col("p_calibrated") / pl.col(f"p_unsafe{_AS_JUDGED}")

    def _decided(self, rows: pl.LazyFrame, share: pl.Expr) -> pl.LazyFrame:
        return (
            rows.with_columns(sidecar_field(name, kind) for name, kind in self.fields.items())
            .with_columns(threshold_columns(self._settings, share))
            .with_columns(self._split(), self._reason())
            .drop(*COLUMNS, *self.fields)
        )

    def with_unsafe_from(self, p: float) -> Rules:
        """The same rules if whatever has this p_unsafe or a higher one were unsafe, but for categories of their own."""
        thresholds = self._settings.thresholds.model_copy(update={"unsafe": p})
        return replace(self, _settings=self._settings.model_copy(update={"thresholds": thresholds}))

    def strictness(self) -> pl.Expr:
        """Position of `split` in `splits` as int64: the lower, the stricter."""
        order = pl.Series(range(len(self.splits)), dtype=pl.Int64)
        return pl.col("split").replace_strict(pl.Series(self.splits), order, return_dtype=pl.Int64)

    def _split(self) -> pl.Expr:
        named = {name: name for name, _ in self._conditions}
        return self._choose(named, pl.lit(FAILED), unscored=REVIEW, in_part=REVIEW, unmatched=REVIEW).alias("split")

    def _reason(self) -> pl.Expr:
        return self._choose(
            {name: f"rule {name}" for name, _ in self._conditions},
            pl.format("not judged: {}", pl.col("status")),
            unscored="no p_unsafe for the threshold",
            in_part="not all of it was judged",
            unmatched="no rule holds",
        ).alias("reason")

    def _choose(
        self, by_rule: Mapping[str, str], failed: pl.Expr, *, unscored: str, in_part: str, unmatched: str
    ) -> pl.Expr:
        """One value for each row; `fill_null` makes a condition that is unknown not hold."""
        chosen = pl.lit(unmatched)
        for name, condition in reversed(self._conditions):
            value = pl.lit(by_rule[name])
            if name == CLEAN:
                value = pl.when(_IN_PART).then(pl.lit(in_part)).otherwise(value)
            chosen = pl.when(condition.fill_null(value=False)).then(value).otherwise(chosen)
        chosen = pl.when(pl.col("unscored")).then(pl.lit(unscored)).otherwise(chosen)
        return pl.when(_JUDGED.fill_null(value=False)).then(chosen).otherwise(failed)


def compile_rules(settings: FilterSettings, codes: Iterable[str] | None) -> Rules:
    """Check `settings` against the annotation schema and the categories `codes` of the policies that decide.

    None means that those categories are not known yet.

    Raises:
        InputError: one line that names the setting and says how to mend it.
    """
    check_thresholds(settings, codes)
    _check_names(settings)
    schema = _schema(settings)
    conditions = tuple(
        (name, parse_condition(sql, schema, f"filter.splits.{name}")) for name, sql in settings.splits.items()
    )
    _check_possible(conditions)
    own = [name for name in settings.splits if name not in (UNSAFE, REVIEW, CLEAN)]
    return Rules((FAILED, UNSAFE, REVIEW, *own, CLEAN), dict(settings.fields), conditions, settings)


def sidecar_field(name: str, kind: str) -> pl.Expr:
    """Field `name` of the JSON in `meta` as a column of type `kind`; null where absent or of another type."""
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    text = pl.col("meta").str.json_path_match(f"$['{quoted}']")
    if kind == "bool":
        lower = text.str.to_lowercase()
        return pl.when(lower.is_in(["true", "false"])).then(lower == "true").alias(name)
    if kind == "int":
        whole = text.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
        return text.cast(pl.Int64, strict=False).fill_null(whole).alias(name)
    return text.cast(_TYPES[kind], strict=False).alias(name)


def _schema(settings: FilterSettings) -> pl.Schema:
    """What a condition may use."""
    annotation = pl.DataFrame(SCHEMA.empty_table()).schema
    derived = {name: pl.Boolean() for name in COLUMNS}
    return pl.Schema({**annotation, **derived, **{name: _TYPES[kind] for name, kind in settings.fields.items()}})


def _check_names(settings: FilterSettings) -> None:
    if not settings.splits:
        raise InputError("filter.splits: empty, so everything would go to review; choose rules, e.g. filter=default")
    for name in settings.splits:
        if name == FAILED:
            raise InputError("filter.splits.failed: what was not judged goes there by itself; choose another name")
        if name in RESERVED or not _NAME.fullmatch(name):
            raise InputError(f"filter.splits.{name}: not a usable name; take letters, digits, _ and single -")
    for name in settings.fields:
        if name in (
            *SCHEMA.names,
            *COLUMNS,
            "p_calibrated",
            VERDICT,
            *(f"{name}{_AS_JUDGED}" for name in SCHEMA.names),
        ):
            raise InputError(f"filter.fields.{name}: is a column already; use it in rules without declaring it")


def _check_possible(conditions: Iterable[tuple[str, pl.Expr]]) -> None:
    """Refuse splits that no row can reach, for all that can be told without the rows.

    Only judged rows meet a condition, so one that depends on `status` alone is a constant too.
    """
    judged = pl.DataFrame({"status": [Status.LABELLED.value]})
    takes_all: str | None = None
    for name, condition in conditions:
        if takes_all is not None:
            raise InputError(f"filter.splits.{name}: can hold no row, {takes_all} before it takes all; move it up")
        value = constant(condition, judged)
        if value is False:
            raise InputError(
                f"filter.splits.{name}: can hold no row; rules see labelled rows only, "
                "and the condition is never true for those"
            )
        takes_all = name if value else None
