"""Write the tables of computed costs into README.md and docs/costs.md: `python scripts/cost_table.py`."""

from __future__ import annotations

import re
from pathlib import Path

from curate.cli.hydra_config import compose_policy
from curate.costs.gpu_bound import H100, Cost, cost, size_of
from curate.judges.prompts import question_for
from curate.settings.config_groups import group_names
from curate.settings.model import ModelSettings

ROOT = Path(__file__).parents[1]
PICTURES = {"640 x 480": (640, 480), "1024 x 1024": (1024, 1024), "2000 x 1500": (2000, 1500)}
BEGIN, END = "<!-- computed: begin -->", "<!-- computed: end -->"


def shipped() -> dict[str, tuple[ModelSettings, int]]:
    """By name the shipped models whose sizes are known, and the characters of the policy they were tuned with."""
    found = {}
    for name in group_names("model"):
        if name == "local":
            continue
        policy, model = compose_policy([f"model={name}"])
        if size_of(model) is not None:
            question = question_for(policy, model.rationale, model.rationale_above, model.rationale_chars)
            found[name] = (model, len(question.text))
    return found


def costs(model: ModelSettings, characters: int) -> list[Cost]:
    """Of a picture of each size."""
    size = size_of(model)
    assert size is not None
    return [cost(model, size, picture, characters, H100) for picture in PICTURES.values()]


def full() -> str:
    """Every model, every size of picture: images/s and GPU-hours a million, as trained and with the policy first."""
    head = "| `model=` | cards | " + " | ".join(PICTURES) + " | policy first, 640 x 480 | rationale=none, 640 x 480 |"
    lines = [head, "|---|---:|" + "---:|" * (len(PICTURES) + 2)]
    for name, (model, characters) in shipped().items():
        first = costs(model.model_copy(update={"layout": "policy_first"}), characters)[0]
        none = costs(model.model_copy(update={"rationale": "none"}), characters)[0]
        cells = [_cell(c) for c in (*costs(model, characters), first, none)]
        lines.append(f"| {name} | {costs(model, characters)[0].gpus} | {' | '.join(cells)} |")
    return "\n".join(lines)


def short() -> str:
    """A few models and one size of picture."""
    lines = ["| `model=` | images/s, at most | GPU-hours for a million |", "|---|---:|---:|"]
    for name, (model, characters) in shipped().items():
        if "v1" not in name:
            one = costs(model, characters)[0]
            lines.append(f"| {name} | {one.rate:.1f} | {one.gpu_hours_a_million:.0f} |")
    return "\n".join(lines)


def written(text: str, table: str) -> str:
    """`text` with `table` between its marks."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n\n{table}\n\n{END}", text, flags=re.DOTALL)


def _cell(one: Cost) -> str:
    return f"{one.rate:.1f} / {one.gpu_hours_a_million:.0f}"


def main() -> None:
    """Rewrite both files."""
    for name, table in (("README.md", short()), ("docs/costs.md", full())):
        path = ROOT / name
        path.write_text(written(path.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
