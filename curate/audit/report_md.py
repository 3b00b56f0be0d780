"""audit.md and against-NAME.md: the tables as a person reads them, in percent with their 95 % intervals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from curate.audit.comparison import Comparison
from curate.audit.record import PROMPTS, Record
from curate.audit.table import ALL_SETS, ANY
from curate.console.untrusted_text import one_line

REPORT = "audit.md"

_READ_IT = """Shares are of judged pictures; in brackets 95 % intervals. They are over prompts: what other prompts of
the kind would give with the same generator. Pictures of one prompt are not independent, so each interval is
Clopper and Pearson's with as many pictures as independent ones would be worth (the design effect says how many are
worth one). Intervals are for each line by itself, not for all of them at once. `put there` are the pictures that the
safeguard put into the category, safe or not; `unsafe of these` is the share of them that is unsafe."""

_COMPARE_IT = """Pairs are pictures of the same prompt and number that both generators made and the safeguard judged.
Differences are the second's share less the first's, in points, with Tango's 95 % interval over prompts; p is exact, for
the two being the same but for chance, prompt by prompt (McNemar's test where each prompt has one picture). Intervals
and p are for each line by itself."""


def render(record: Record, table: pl.DataFrame, command: str) -> str:
    """The report of one audit."""
    generator, judged_by = record["generator"], record["judged_by"]
    parts = [
        f"# Audit of {_cell(generator['name'])}",
        "\n".join(_facts(record, table)),
        *([f"**{_cell(judged_by['warning'])}**"] if judged_by.get("warning") else []),
    ]
    for policy in table["policy"].unique(maintain_order=True):
        under = table.filter(pl.col("policy") == policy)
        parts += [f"## Policy {policy}", *_missing(under), *_set_tables(under)]
    parts += ["## How to read it", _READ_IT, "## Again", *_again(record, command)]
    return "\n\n".join(parts) + "\n"


def short(table: pl.DataFrame) -> Iterator[str]:
    """A few lines for the terminal: all prompts together."""
    for row in table.filter(pl.col("prompt_set") == ALL_SETS).iter_rows(named=True):
        if row["category"] == ANY:
            held_back = "".join(
                f", {row[n]} {n.replace('_', ' ')}" for n in ("refused", "failed", "not_judged") if row[n]
            )
            yield f"{row['policy']}: {row['judged']} of {row['requested']} pictures judged{held_back}"
            yield f"  {'unsafe':<34}{row['unsafe']:>8}  {_percent(row)}"
        elif row["categorised"] or row["unsafe"]:
            name = f"{row['category']}: {row['category_name']}"
            yield f"  {name[:33]:<34}{row['unsafe']:>8}  {_percent(row)}"


def render_comparison(comparison: Comparison) -> str:
    """The report of two audits side by side."""
    first, second = comparison.first, comparison.second
    names = f"{_cell(first.name)} and {_cell(second.name)}"
    facts = [
        f"* first: {_cell(first.name)}, {_cell(_revision(first.record))}, in {_cell(first.place)}",
        f"* second: {_cell(second.name)}, {_cell(_revision(second.record))}, in {_cell(second.place)}",
        f"* without a partner: {comparison.unpaired_first} pictures of the first, {comparison.unpaired_second} of the "
        "second",
        f"* pairs with different seeds: {comparison.seeds_differ}",
    ]
    facts += [
        f"* left out: {count} pairs of which the fates are {fates}" for fates, count in comparison.one_sided.items()
    ]
    parts = [f"# {names}", "\n".join(facts)]
    for (policy, prompt_set), rows in comparison.table.group_by("policy", "prompt_set", maintain_order=True):
        parts += [f"## Policy {policy}, {_set(str(prompt_set))}", _comparison_table(rows)]
    parts += ["## How to read it", _COMPARE_IT]
    return "\n\n".join(parts) + "\n"


def short_comparison(comparison: Comparison) -> Iterator[str]:
    """A few lines for the terminal."""
    for row in comparison.table.filter(pl.col("prompt_set") == ALL_SETS).iter_rows(named=True):
        if row["category"] == ANY:
            names = f"{comparison.first.name} and {comparison.second.name}"
            yield f"{row['policy']}: {row['pairs']} pairs of pictures, {names}"
        if row["category"] == ANY or row["only_first"] or row["only_second"]:
            name = "unsafe" if row["category"] == ANY else f"{row['category']}: {row['category_name']}"
            yield f"  {name[:33]:<34}{_points(row):>28}  p {_p(row['p_value'])}"


def _facts(record: Record, table: pl.DataFrame) -> Iterator[str]:
    generator, judged_by = record["generator"], record["judged_by"]
    whole = table.row(0, named=True)
    yield f"* generator: {_cell(generator['name'])}, {_cell(_revision(record))}"
    settings = {k: v for k, v in generator.items() if k not in ("name", "revision", "kind") and v not in (None, {})}
    if settings:
        yield f"* made with: {_cell(json.dumps(settings, ensure_ascii=False))}"
    yield f"* asked for: {whole['requested']} pictures of {whole['prompts']} prompts"
    yield f"* judged by: {_cell(judged_by['model'])} ({judged_by['judge']})"
    yield f"* unsafe is: {_cell(_rules(judged_by['rules']))}"


def _rules(rules: Mapping[str, Any]) -> str:
    said = [f"thresholds.{name} {value:g}" for name, value in rules["thresholds"].items() if value is not None]
    said += [f"by_category.{code}" for code in rules.get("by_category", {})]
    said += ["calibrated"] if rules.get("calibration") else []
    return f"the rule {rules['splits']['unsafe']!r}, {', '.join(said) or 'by the rating of the safeguard itself'}"


def _missing(table: pl.DataFrame) -> Iterator[str]:
    """What the shares leave out, and how much of a difference it could make."""
    row = table.row(0, named=True)
    left_out = {name: row[name] for name in ("refused", "failed", "not_judged") if row[name]}
    if not left_out:
        return
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in left_out.items())
    yield (
        f"Of {row['requested']} pictures {row['judged']} were judged ({said}). Of all that were asked for, what was "
        f"refused or failed counting as not shown, {_percent(row, '_of_requested')} are unsafe."
    )
    if row["not_judged"]:
        shown = row["judged"] + row["not_judged"]
        low, high = row["unsafe"] / shown, (row["unsafe"] + row["not_judged"]) / shown
        yield (
            f"The {row['not_judged']} that were not judged may be anything: with them the share lies between {low:.1%} "
            f"and {high:.1%}."
        )


def _set_tables(table: pl.DataFrame) -> Iterator[str]:
    for (prompt_set,), rows in table.group_by("prompt_set", maintain_order=True):
        yield f"### {_set(str(prompt_set)).capitalize() if prompt_set == ALL_SETS else _set(str(prompt_set))}"
        yield _table(rows)
    sets = table.filter((pl.col("category") == ANY) & (pl.col("prompt_set") != ALL_SETS))
    if not sets.is_empty():
        yield "### Prompt sets side by side"
        head = ("prompt set", "prompts", "judged", "unsafe", "share", "prompts with an unsafe picture")
        cells = [
            (_cell(r["prompt_set"]), r["prompts"], r["judged"], r["unsafe"], _percent(r), _percent(r, "_of_prompts"))
            for r in sets.iter_rows(named=True)
        ]
        yield _markdown(head, cells)


def _table(rows: pl.DataFrame) -> str:
    head = ("category", "put there", "unsafe", "share", "unsafe of these", "prompts with one", "design effect")
    cells = []
    for row in rows.iter_rows(named=True):
        whole = row["category"] == ANY
        name = f"**any** ({row['judged']} judged)" if whole else f"{row['category']}: {row['category_name']}"
        effect = "" if row["design_effect"] is None else f"{row['design_effect']:.1f}"
        of_category, of_prompts = _percent(row, "_of_category"), _percent(row, "_of_prompts")
        cells.append((_cell(name), row["categorised"], row["unsafe"], _percent(row), of_category, of_prompts, effect))
    return _markdown(head, cells)


def _comparison_table(rows: pl.DataFrame) -> str:
    head = ("category", "first", "second", "difference", "only first", "only second", "p")
    cells = []
    for row in rows.iter_rows(named=True):
        whole = row["category"] == ANY
        name = f"**any** ({row['pairs']} pairs)" if whole else f"{row['category']}: {row['category_name']}"
        shares = ("" if row[s] is None else f"{row[s]:.1%}" for s in ("share_first", "share_second"))
        cells.append((_cell(name), *shares, _points(row), row["only_first"], row["only_second"], _p(row["p_value"])))
    return _markdown(head, cells)


def _again(record: Record, command: str) -> Iterator[str]:
    yield (
        f"`{PROMPTS}` has the prompts with their ids, `outcomes.parquet` a row for each picture with its seed, SHA-256 "
        "and verdict, `audit.yaml` what made and judged them, and the digests of all files:"
    )
    yield f"    {command}"


def _revision(record: Record) -> str:
    return str(record["generator"].get("revision") or "revision unknown")


def _set(prompt_set: str) -> str:
    return "all prompts" if prompt_set == ALL_SETS else f"prompt set {_cell(prompt_set)}"


def _percent(row: Mapping[str, Any], of: str = "") -> str:
    value, low, high = (row[f"{name}{of}"] for name in ("share", "low", "high"))
    return "" if value is None else f"{value:.1%} [{low:.1%}, {high:.1%}]"


def _points(row: Mapping[str, Any]) -> str:
    value, low, high = (row[name] for name in ("difference", "low", "high"))
    return "" if value is None else f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _cell(text: object) -> str:
    """Text of others in Markdown: one line, and nothing in it begins a cell, a link or a tag."""
    plain = one_line(str(text))
    return "".join(f"\\{c}" if c in "|<>[]`" else c for c in plain)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)])
