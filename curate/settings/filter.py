"""Settings of the filter stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from curate.core.calibration import Calibration
from curate.settings.group import Group, Shown, _listed


class Thresholds(Group):
    """Cut-offs on p_unsafe; `by_category` overrides them for single category codes."""

    unsafe: Annotated[float, Field(ge=0, le=1)] | None = None
    """From this p_unsafe on a sample is unsafe; null goes by the model's own rating."""
    review: Annotated[float, Field(ge=0, le=1)] | None = None
    """From this p_unsafe on a person has to look at it."""


class FilterSettings(Group):
    """Rules that turn annotations into splits; see `curate.filtering`."""

    name: str = "default"
    """Name of the rule set."""
    policy: str | None = None
    """The policy whose annotations decide; null combines all."""
    combine: Literal["any_unsafe"] = "any_unsafe"
    """With several policies, any_unsafe takes the strictest."""
    thresholds: Thresholds = Thresholds()
    """Cut-offs on p_unsafe in place of the model's own rating."""
    by_category: dict[str, Thresholds] = {}
    """Cut-offs for single category codes: for rows that name one and, with `model.category_scores`, for its score."""
    calibration: Annotated[Calibration | None, Shown(kind="a file's name, or null")] = None
    """A file that `evaluate` wrote, applied to p_unsafe before any rule sees it."""
    overrides: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Verdicts of people: run folders in which they were taken in by `review import`, or tables of them."""
    fields: dict[str, Literal["float", "int", "string", "bool"]] = {}
    """Sidecar fields that rules may use, by their type."""
    splits: dict[str, str] = {}
    """Name to SQL condition over the annotation columns and `fields`; the first that holds wins."""
    write: Literal["parquet", "webdataset", "index"] = "parquet"
    """Format of the splits."""
    subdivide: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """Shares of `clean` by name, e.g. {train: 0.9, validation: 0.1}; by key hash."""
    seed: int = 0
    """Seed of that subdivision."""
    rows_per_group: Annotated[int, Field(gt=0)] = 100
    """Rows in a Parquet row group of images."""

    @field_validator("splits", mode="before")
    @classmethod
    def _truth_is_a_condition(cls, value: object) -> object:
        """YAML and the command line read `true` as a truth value; as a condition it is SQL all the same."""
        if not isinstance(value, dict):
            return value
        return {name: str(sql).lower() if isinstance(sql, bool) else sql for name, sql in value.items()}
