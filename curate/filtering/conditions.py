"""One SQL condition of a rule set, checked before anything is read or written.

A condition sees one row at a time: aggregates and windows would make a row's fate depend on its neighbours in the
shard, and with that on how the data happens to be cut. Functions are therefore allowed by name.
"""

from __future__ import annotations

import re

import polars as pl
from polars.exceptions import ColumnNotFoundError, PolarsError

from curate.core.errors import InputError

ROW_FUNCTIONS = frozenset(
    {"ABS", "CEIL", "COALESCE", "FLOOR", "GREATEST", "IF", "IFNULL", "LEAST", "NULLIF", "ROUND"}
    | {"ENDS_WITH", "LENGTH", "LOWER", "REGEXP_LIKE", "STARTS_WITH", "STRPOS", "TRIM", "UPPER"}
)
"""SQL functions a condition may call: each looks at its own row only."""

_WORDS_BEFORE_PARENTHESIS = frozenset(
    {"AND", "AS", "BETWEEN", "CASE", "CAST", "ELSE", "ILIKE", "IN", "LIKE", "NOT", "OR", "THEN", "TRY_CAST", "WHEN"}
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_CALL = re.compile(r"([\w\"]+)\s*\(")


def parse_condition(sql: str, schema: pl.Schema, where: str) -> pl.Expr:
    """The polars expression of `sql` over the columns of `schema`.

    Args:
        sql: an SQL expression that is true, false or null for a row.
        schema: the columns it may use, by type.
        where: the setting it stands in, e.g. "filter.splits.clean", for the message.

    Raises:
        InputError: it does not parse, uses a column that is not there, compares what cannot be compared, is not a
            condition, or looks beyond its own row.
    """
    _refuse_other_rows(sql, where)
    try:
        expression = pl.sql_expr(sql)
        kind = pl.DataFrame(schema=schema).clear(1).select(expression.alias("condition")).schema["condition"]
    except ColumnNotFoundError as error:
        name = _first_unknown(sql, schema) or str(error).splitlines()[0]
        raise InputError(
            f"{where}: no column {name!r} in `{sql}`; columns are {', '.join(schema)}; "
            "text goes into single quotes, sidecar fields are declared in filter.fields"
        ) from error
    except PolarsError as error:
        raise InputError(f"{where}: cannot use `{sql}`: {str(error).splitlines()[0]}") from error
    if kind not in (pl.Boolean, pl.Null):
        raise InputError(f"{where}: `{sql}` is not a condition but a value of type {kind}; compare it with something")
    return expression


def constant(expression: pl.Expr, known: pl.DataFrame) -> bool | None:
    """What `expression` always is, given that only the one row `known` is possible; None where it depends on more."""
    if not set(expression.meta.root_names()) <= set(known.columns):
        return None
    return bool(known.select(expression.alias("condition")).item(0, 0))


def _refuse_other_rows(sql: str, where: str) -> None:
    bare = _LITERAL.sub("''", sql)
    if re.search(r"\bselect\b", bare, re.IGNORECASE):
        raise InputError(f"{where}: `{sql}` holds a query; write a condition on one row's columns")
    for name in _CALL.findall(bare):
        if name.upper() not in ROW_FUNCTIONS | _WORDS_BEFORE_PARENTHESIS:
            raise InputError(
                f"{where}: function {name} is not allowed in `{sql}`; a condition sees one row; "
                f"allowed are {', '.join(sorted(ROW_FUNCTIONS))}"
            )


def _first_unknown(sql: str, schema: pl.Schema) -> str | None:
    return next((name for name in pl.sql_expr(sql).meta.root_names() if name not in schema), None)
