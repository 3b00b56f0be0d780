"""Shows the results in docs/performance.md, between two markers: python -m tests.benchmarks.table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs/performance.md"
BEGIN, END = "<!-- results: begin, written by make bench -->", "<!-- results: end -->"


def write() -> None:
    """Replace what stands between the markers by the results there are.

    Raises:
        ValueError: the page has no such markers.
    """
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no markers {BEGIN} and {END}")
    tables = "\n".join(_lines())
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}", encoding="utf-8")


def _lines() -> Iterator[str]:
    for path in sorted(RESULTS.glob("*.json")):
        yield from _section(json.loads(path.read_text(encoding="utf-8")))


def _section(result: dict[str, Any]) -> Iterator[str]:
    yield f"### {result['name'].replace('_', ' ').capitalize()}"
    yield ""
    yield f"{_machine(result['machine'])} Checked: {result['checked']}."
    yield ""
    yield from _rates(result)
    yield from _ratios(result.get("ratios", {}))
    yield from (f"- {name}: {_number(value)}" for name, value in result["notes"].items())
    yield from (f"- not run: {name} ({reason})" for name, reason in result.get("skipped", {}).items())
    yield ""


def _rates(result: dict[str, Any]) -> Iterator[str]:
    floor = result.get("floor")
    header = f"| contender | median {result['unit']} | lowest to highest of {_repetitions(result)} |"
    yield f"{header} of the floor |" if floor else header
    yield f"|---|---:|---:|{'---:|' if floor else ''}"
    for name, rates in result["rates"].items():
        median, low, high = (_number(f(rates)) for f in (statistics.median, min, max))
        row = f"| {name} | {median} | {low} to {high} |"
        yield f"{row} {_number(result['to floor'].get(name, 1.0))} |" if floor else row
    yield ""


def _ratios(ratios: dict[str, Any]) -> Iterator[str]:
    if not ratios:
        return
    yield "| ratio | value | promised | |"
    yield "|---|---:|---:|---|"
    for name, ratio in ratios.items():
        low, high = ratio["at_least"], ratio["at_most"]
        bound = f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else ""
        verdict = ("kept" if ratio["kept"] else "**missed**") if bound else ""
        yield f"| {name} | {_number(ratio['value'])} | {bound} | {verdict} |"
    yield ""


def _repetitions(result: dict[str, Any]) -> int:
    return max((len(rates) for rates in result["rates"].values()), default=0)


def _machine(machine: dict[str, Any]) -> str:
    memory = f", {machine['memory_gb']:.0f} GB" if "memory_gb" in machine else ""
    flags = "".join(f", {flag}" for flag in machine.get("flags", []))
    return f"{machine['cores']} cores ({machine.get('processor') or machine['machine']}{flags}){memory}."


def _number(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    write()
