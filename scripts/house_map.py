"""The map in docs/design.md, made from the code: what a sample goes through, and the rooms.

write     puts both into docs/design.md
measure   prints how entangled the modules of a checkout are: run it there
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "design.md"
WIDTH = 118

FLOW: Mapping[str, Sequence[str]] = {
    "plan: once for a run": ("runs.plan.make_plan", "runs.run_folder.open_run"),
    "a worker, shard by shard": ("runs.claims.Claims.take", "sources.base.Source.samples"),
    "sample by sample": (
        "judges.questions.questions_for",
        "annotation.preprocess_pool.prepare",
        "engines.base.Renderer.render",
        "engines.base.Engine.judge",
        "judges.verdicts.parse_answer",
        "annotation.judge_sample.judge",
    ),
    "in the order of the samples": ("runs.journal.Journal.add", "annotation.shard_writer.ShardWriter.publish"),
    "when shards are committed": (
        "filtering.stage.prepare",
        "filtering.decide.decide_windows",
        "filtering.splitting.split_samples",
        "cards.card.publish_cards",
    ),
}
"""What a sample goes through: functions below `curate`, in order."""


@dataclass(frozen=True, slots=True)
class Step:
    """A function on the way of a sample: its name below `curate`, what it gives, and what it says of itself."""

    name: str
    gives: str
    says: str


def flow() -> Iterator[str]:
    """The way of a sample as rows of text, a function each."""
    for where, names in FLOW.items():
        yield f"{where}"
        for name in names:
            step = _step(name)
            gives = f" -> {step.gives}" if step.gives not in ("None", "") else ""
            yield f"  |  {step.name}{gives}"
            yield from (f"  |      {line}" for line in textwrap.wrap(step.says, WIDTH - 12))
        yield "  v"
    yield "datasets.load_dataset(DIR, ...), curate.load_run(DIR)"


def _step(name: str) -> Step:
    """Raises LookupError where the code has no such function."""
    parts = name.split(".")
    files = [(n, ROOT.joinpath("curate", *parts[:n]).with_suffix(".py")) for n in range(1, len(parts))]
    depth, path = next(((n, file) for n, file in files if file.exists()), (0, None))
    body: Sequence[ast.stmt] = _parsed(path).body if path else []
    for part in parts[depth:]:
        found = [n for n in body if isinstance(n, _NAMED) and n.name == part]
        if not found:
            raise LookupError(f"{name}: curate has no such function; mend FLOW")
        body = found[0].body
    (node,) = found
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    returns = ast.unparse(node.returns) if node.returns else ""
    says = (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
    return Step(name=f"{name}({', '.join(_takes(node))})", gives=returns.strip("'"), says=says)


def _takes(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [argument.arg for argument in node.args.args if argument.arg != "self"]


def rooms() -> Iterator[str]:
    """A row of a table for each room, from the edge down to what everyone shares."""
    yield "| room | what it does, and its law | entered through | imports |"
    yield "|---|---|---|---|"
    graph = grimp.build_graph("curate", cache_dir=None)
    for room in _layers():
        package = ROOT / "curate" / room / "__init__.py"
        said = ast.get_docstring(_parsed(package)) or ""
        does = said.partition("\n\n")[0].replace("\n", " ")
        law = next((" ".join(p.split()) for p in _paragraphs(said) if p.startswith("Law: ")), "")
        below = sorted({_room_of(m) for m in _imported_by(graph, room)} - {room})
        cells = [
            f"[{room}](../curate/{room}/__init__.py)",
            f"{does} {law}",
            ", ".join(_face(package)),
            ", ".join(below),
        ]
        yield f"| {' | '.join(cells)} |"


def _layers() -> list[str]:
    """Rooms as the contract in pyproject.toml orders them, those of one file left out."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = (contract["layers"] for contract in config["contracts"] if contract["type"] == "layers")
    names = [name for layer in layers for name in layer.split(" : ")]
    return [name for name in names if (ROOT / "curate" / name / "__init__.py").exists()]


def _paragraphs(text: str) -> Iterator[str]:
    """Split where a line begins with a noun's or a law's heading, or is blank."""
    block: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith(("Law: ", "Noun")):
            yield "\n".join(block)
            block = []
        block.append(line)
    yield "\n".join(block)


def _imported_by(graph: grimp.ImportGraph, room: str) -> Iterator[str]:
    inside = {f"curate.{room}", *graph.find_descendants(f"curate.{room}")}
    for module in inside:
        yield from (m for m in graph.find_modules_directly_imported_by(module) if m.count(".") > 1)


def _room_of(module: str) -> str:
    return module.split(".")[1]


def _face(package: Path) -> tuple[str, ...]:
    for node in _parsed(package).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return tuple(ast.literal_eval(node.value))
    return ()


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


_NAMED = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def page(text: str) -> str:
    """The page with both parts made anew."""
    for name, lines in (("flow", ["```", *flow(), "```"]), ("rooms", list(rooms()))):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = "\n".join([before + begin, "", *lines, "", end + rest.split(end)[1]])
    return text


def measure(package: str = "curate") -> Iterator[str]:
    """How entangled the modules are: floors are what is left once each circle is one module."""
    graph = grimp.build_graph(package, cache_dir=None)
    arrows = {m: set(graph.find_modules_directly_imported_by(m)) - {package} for m in graph.modules if m != package}
    circles = _circles(arrows)
    units = {m: min(c) for c in circles for m in c}
    between = {u: {units[i] for m in arrows if units[m] == u for i in arrows[m]} - {u} for u in set(units.values())}
    floors: dict[str, int] = {}
    run = next(m for m in arrows if m.endswith("commands.run"))
    store = next(m for m in arrows if m.rsplit(".", 1)[-1] == "store")
    top = [m for m in arrows if m.count(".") == 1]
    plain = [m for m in top if not graph.find_children(m)]
    yield f"modules                          {len(arrows)}"
    yield f"  at the top level               {len(plain)} beside {len(top) - len(plain)} packages"
    yield f"arrows between modules           {sum(map(len, arrows.values()))}"
    yield f"floors                           {max(_floor(unit, between, floors) for unit in between)}"
    yield f"circles of modules               {sum(len(c) > 1 for c in circles)}"
    yield f"circles of packages              {_package_circles(arrows)}"
    yield f"longest chain from run to store  {_longest(units[run], units[store], between, {})}"


def _floor(unit: str, between: Mapping[str, set[str]], known: dict[str, int]) -> int:
    if unit not in known:
        known[unit] = 1 + max((_floor(below, between, known) for below in between[unit]), default=0)
    return known[unit]


def _longest(start: str, end: str, between: Mapping[str, set[str]], known: dict[str, int | None]) -> int | None:
    """Arrows on the longest way; None where there is none."""
    if start == end:
        return 0
    if start not in known:
        ways = [way for below in between[start] if (way := _longest(below, end, between, known)) is not None]
        known[start] = 1 + max(ways) if ways else None
    return known[start]


def _package_circles(arrows: Mapping[str, set[str]]) -> int:
    """Circles of what stands at the top level, packages as a whole."""
    tops = {m.split(".")[1] for m in arrows}
    between: dict[str, set[str]] = {top: set() for top in tops}
    for module, imported in arrows.items():
        between[module.split(".")[1]] |= {i.split(".")[1] for i in imported} - {module.split(".")[1]}
    return sum(len(c) > 1 for c in _circles(between))


def _circles(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """Strongly connected components (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in arrows.get(node, ()):
            if following not in index:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], index[following])
        if low[node] == index[node]:
            at = stack.index(node)
            found.append(set(stack[at:]))
            del stack[at:]

    for node in arrows:
        if node not in index:
            visit(node)
    return found


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("write", "measure"))
    if parser.parse_args().do == "measure":
        print("\n".join(measure()))
    else:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
