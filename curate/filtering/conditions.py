"""One SQL condition of a rule set, checked before anything is read or written.

A condition sees one row at a time: aggregates and windows would make a row's fate depend on its neighbours in the
shard, and with that on how the data happens to be cut. Functions are therefore allowed by name; and since a name can be
written in many ways, what polars made of the condition is walked too, and holds nothing but what those names make.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

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
_SAMPLES = (
    "ABS(x) > 1 AND CEIL(x) < 2 OR FLOOR(x) = 1 AND NOT ROUND(x) <> 1 AND ROUND(x, 1) >= 0 AND x <= 3",
    "COALESCE(x, y, 0) > 1 AND IFNULL(x, 0) > 1 AND NULLIF(x, 0) > 1 AND GREATEST(x, y) > LEAST(x, 1)",
    "IF(x > 1, TRUE, FALSE) AND CASE WHEN x > 1 THEN TRUE ELSE FALSE END AND CASE s WHEN 'a' THEN TRUE END",
    "ENDS_WITH(s, 'a') AND STARTS_WITH(s, 'a') AND REGEXP_LIKE(s, 'a') AND REGEXP_LIKE(s, 'a', 'i')",
    "STRPOS(s, 'a') > 1 AND LENGTH(s) > 1 AND LOWER(s) = 'a' AND UPPER(s) = t AND TRIM(s) = 'a'",
    "TRIM(BOTH 'x' FROM s) = 'a' AND TRIM(LEADING 'x' FROM s) = TRIM(TRAILING 'x' FROM s) AND s || 'b' = 'ab'",
    "s LIKE 'a%' OR s LIKE '%a' OR s LIKE '%a%' OR s LIKE 'a' OR s LIKE 'a_b%c' OR s ILIKE 'a%' OR s NOT LIKE '%a%'",
    "s ~ 'a' OR s ~* 'a' OR s !~ 'a'",
    "x IN (1, 2) AND x NOT IN (1.5) AND s IN ('a', 'b') AND x BETWEEN 1 AND 2 AND x NOT BETWEEN 3 AND 4",
    "x IS NULL OR x IS NOT NULL OR (x IS NOT DISTINCT FROM y) OR (x IS DISTINCT FROM y)",
    "b IS TRUE OR b IS NOT TRUE OR b IS FALSE OR b IS NOT FALSE",
    "x + 1 - 2 * x / 3 % 4 > -x OR x // 2 = 1 OR +x > 1",
    "CAST(x AS DOUBLE) > 1 OR x::INT > 1 OR TRY_CAST(s AS BIGINT) > 1 OR x > 0.5 OR y IS NULL OR TRUE",
)
"""Conditions that together hold everything that may be written."""

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
    shown = " ".join(sql.split())
    _refuse_other_rows(sql, shown, where)
    try:
        expression = pl.sql_expr(sql)
        _refuse_unknown_nodes(expression, shown, where)
        kind = pl.DataFrame(schema=schema).clear(1).select(expression.alias("condition")).schema["condition"]
    except ColumnNotFoundError as error:
        name = _first_unknown(sql, schema) or str(error).splitlines()[0]
        raise InputError(
            f"{where}: no column {name!r} in `{shown}`; columns are {', '.join(schema)}; "
            "text goes into single quotes, sidecar fields are declared in filter.fields"
        ) from error
    except PolarsError as error:
        raise InputError(f"{where}: cannot use `{shown}`: {str(error).splitlines()[0]}") from error
    if kind not in (pl.Boolean, pl.Null):
        raise InputError(f"{where}: `{shown}` is not a condition but a value of type {kind}; compare it with something")
    return expression


def constant(expression: pl.Expr, known: pl.DataFrame) -> bool | None:
    """What `expression` always is, given that only the one row `known` is possible; None where it depends on more."""
    if not set(expression.meta.root_names()) <= set(known.columns):
        return None
    return bool(known.select(expression.alias("condition")).item(0, 0))


def _refuse_other_rows(sql: str, shown: str, where: str) -> None:
    bare = _LITERAL.sub("''", sql)
    if re.search(r"\bselect\b", bare, re.IGNORECASE):
        raise InputError(f"{where}: `{shown}` holds a query; write a condition on one row's columns")
    if "--" in bare or "/*" in bare:
        raise InputError(f"{where}: `{shown}` holds a comment, or a doubled minus that begins one; leave it out")
    for name in _CALL.findall(bare):
        if name.upper() not in ROW_FUNCTIONS | _WORDS_BEFORE_PARENTHESIS:
            raise InputError(
                f"{where}: function {name} is not allowed in `{shown}`; a condition sees one row; "
                f"allowed are {', '.join(sorted(ROW_FUNCTIONS))}"
            )


def _refuse_unknown_nodes(expression: pl.Expr, shown: str, where: str) -> None:
    unknown = sorted(_kinds(expression) - _known_kinds())
    if unknown:
        raise InputError(
            f"{where}: `{shown}` holds what a condition may not ({', '.join(unknown)}); it sees one row; functions "
            f"that it may call are {', '.join(sorted(ROW_FUNCTIONS))}"
        )


@cache
def _known_kinds() -> frozenset[str]:
    """Kinds of nodes in the expressions of `_SAMPLES`, as this version of polars makes them."""
    return frozenset().union(*(_kinds(pl.sql_expr(sample)) for sample in _SAMPLES))


def _kinds(expression: pl.Expr) -> frozenset[str]:
    """Kinds of all nodes of an expression; of a function with what it does."""
    return frozenset(_nodes(json.loads(expression.meta.serialize(format="json"))))


def _nodes(tree: object) -> Iterator[str]:
    """As `_kinds`, of an expression as polars writes it as JSON."""
    if isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)
    elif isinstance(tree, dict):
        for kind, content in tree.items():
            yield from _node(kind, content)


def _node(kind: str, content: Any) -> Iterator[str]:
    if kind == "Function":
        yield f"Function {_named(content['function'])}"
        yield from _nodes(content["input"])
        return
    if kind[:1].isupper():
        yield kind
    if kind not in _LEAVES:
        yield from _nodes(content)


_LEAVES = ("Column", "Literal")
"""What is in them is a name or a value of the condition."""


def _named(function: object) -> str:
    """`{"StringExpr": {"Contains": {...}}}` as "StringExpr.Contains"."""
    if not isinstance(function, dict):
        return str(function)
    (group, inside), *_ = function.items()
    member = next(iter(inside), "") if isinstance(inside, dict) else inside
    return f"{group}.{member}" if isinstance(member, str) else str(group)


def _first_unknown(sql: str, schema: pl.Schema) -> str | None:
    return next((name for name in pl.sql_expr(sql).meta.root_names() if name not in schema), None)
