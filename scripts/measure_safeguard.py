"""Measure the safeguard in the package on its gold set, beside what it is compared with; write the table in the docs.

Every gold picture is judged under the default policy, and every unsafe one again under the policy that allows its
category, through `run` and `evaluate` as a user would. Needs what `make safeguard` leaves behind: the training
pictures, for the probe, and the untuned start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build_safeguard_gold import POLICY, read_policy, write_gold_rows
from safeguard.baselines import write_baselines
from safeguard.commands import curate
from safeguard.naming import Naming, naming

ROOT = Path(__file__).resolve().parent.parent
GOLD = ROOT / "scripts" / "safeguard" / "gold" / "gold.parquet"
DATA = ROOT / "build" / "safeguard-data"
WORK = ROOT / "build" / "safeguard-measured"
DOCUMENT = ROOT / "docs" / "safeguard.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

PLAIN, UNSEEN, EXCEPTION = "plain, known style", "plain, unseen style", "policy exceptions"
"""Groups of gold rows, as the column `split` names them."""

NAMES: Mapping[str, str] = {
    "builtin": "**the built-in safeguard**",
    "start": "the same before tuning",
    "linear-probe": "linear probe on EfficientNet-lite0",
    "open-nsfw": "open_nsfw",
    "always-safe": "always Safe",
}
SCORES = ("balanced_accuracy", "recall", "specificity", "precision", "f1", "category_accuracy", "per", "pes")


def main() -> int:
    """Measure all and write the tables."""
    WORK.mkdir(parents=True, exist_ok=True)
    gold, style = _rows(GOLD, "gold"), _rows(DATA / "style.parquet", "style")
    runs = [_run("builtin", gold), _run("start", gold, f"model.path={ROOT / 'build' / 'safeguard' / 'start'}")]
    tables = write_baselines(gold, DATA / "train.parquet", WORK)
    predictions = ",".join(str(path) for path in (*runs, *reversed(tables)))
    curate("evaluate", f"predictions={predictions}", f"gold={gold}", f"output.dir={WORK / 'evaluation'}")
    curate(
        "evaluate", f"predictions={_run('style', style)}", f"gold={style}", f"output.dir={WORK / 'style-evaluation'}"
    )
    _write(_table(_metrics("evaluation")) + _style(_metrics("style-evaluation")) + _naming(gold, style))
    return 0


def _rows(pictures: Path, name: str) -> Path:
    """The pictures as gold rows under their policies; `split` says which group a row is of."""
    path = WORK / f"{name}-rows.parquet"
    write_gold_rows(pictures, read_policy(POLICY), path, _group)
    return path


def _group(row: Mapping[str, Any]) -> str:
    if row["exception"]:
        return EXCEPTION
    return UNSEEN if row["unseen_style"] else PLAIN


def _run(name: str, rows: Path, *more: str) -> Path:
    folder = WORK / name
    own = ("model=builtin", "+dataset=parquet", f"dataset.shards={rows}", "dataset.policy_column=policy")
    curate("annotate", *own, f"output.dir={folder}", *more)
    return folder


def _metrics(folder: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((WORK / folder / "metrics.json").read_text(encoding="utf-8"))
    return document


def _table(metrics: Mapping[str, Any]) -> list[str]:
    """All rows of the gold set, then the pictures under the default policy alone."""
    every = [metrics, *metrics["others"]]
    heading = ["balanced accuracy (95 %)", *(score.replace("_", " ") for score in SCORES[1:]), "valid"]
    whole = [[_ranged(one), *(_percent(one[score]) for score in SCORES[1:]), _valid(one)] for one in every]
    groups = [[_both(one["by_split"].get(group)) for group in (PLAIN, UNSEEN)] for one in every]
    names = [NAMES[Path(one["predictions"]).stem] for one in every]
    areas = [[_percent(one["ranking"]["roc_area"])] for one in every]
    return [
        f"All {metrics['n']} rows, policy exceptions included, in percent:",
        "",
        *_markdown(["", *heading], names, whole),
        "",
        "Recall / specificity under the default policy alone, and the area under the ROC curve of all rows:",
        "",
        *_markdown(["", PLAIN, UNSEEN, "area, all rows"], names, [a + b for a, b in zip(groups, areas, strict=True)]),
        "",
    ]


def _style(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"Objects known from training in unseen styles ({metrics['n']} rows): balanced accuracy {_ranged(metrics)},"
        f" recall {_percent(metrics['recall'])}, specificity {_percent(metrics['specificity'])},"
        f" PER {_percent(metrics['per'])}.",
        "",
    ]


def _naming(gold: Path, style: Path) -> list[str]:
    """How often rationales name what is seen."""
    sets = {
        "gold (objects never seen)": naming(gold, WORK / "builtin"),
        "style (objects seen)": naming(style, WORK / "style"),
    }
    rows = [[_share(n.exact, n), _share(n.head, n), _share(n.sort, n), str(n.pictures)] for n in sets.values()]
    heading = ["rationale names", "the very object", "its head noun", "the sort of thing", "pictures"]
    return ["", *_markdown(heading, list(sets), rows), ""]


def _share(count: int, of: Naming) -> str:
    return _percent(count / of.pictures)


def _ranged(one: Mapping[str, Any]) -> str:
    low, high = one["intervals"]["balanced_accuracy"]
    return f"{_percent(one['balanced_accuracy'])} ({_percent(low)} to {_percent(high)})"


def _both(group: Mapping[str, Any] | None) -> str:
    return "-" if group is None else f"{_percent(group['recall'])} / {_percent(group['specificity'])}"


def _valid(one: Mapping[str, Any]) -> str:
    return _percent(1 - one["n_invalid"] / one["n"])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _markdown(heading: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[name, *row] for name, row in zip(names, rows, strict=True)]
    return [f"| {' | '.join(line)} |" for line in (heading, ["---"] * len(heading), *lines)]


def _write(lines: Sequence[str]) -> None:
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text("\n".join([before + BEGIN, "", *lines, END]) + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
