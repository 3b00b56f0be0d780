"""What is seen of a tuning: metrics as JSON lines, and the loss curve."""

from __future__ import annotations

import json
from pathlib import Path

METRICS, CURVE = "metrics.jsonl", "loss.png"
TRAIN_LOSS, DEV_LOSS = "loss", "dev_loss"

_DPI = 150
_INCHES = (6.4, 4.2)


class History:
    """The records of a tuning in `folder`; those of steps that are done again after an interruption are dropped.

    Args:
        folder: of the tuning.
        step: that it goes on from.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS
        self.records = [record for record in read_history(folder) if record["step"] <= step]
        self._path.write_text("".join(_line(record) for record in self.records), encoding="utf-8")

    def add(self, step: int, **values: float) -> None:
        """Write one record."""
        self.records.append({"step": step, **values})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(self.records[-1]))

    def losses(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of one loss."""
        found = [(record["step"], record[name]) for record in self.records if name in record]
        return [step for step, _ in found], [loss for _, loss in found]


def read_history(folder: Path) -> list[dict[str, float]]:
    """The records in `folder`; a last line that was cut off is left out."""
    path = folder / METRICS
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def draw_curve(history: History, folder: Path) -> Path:
    """Write the loss of every logged step and of the dev split as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*history.losses(TRAIN_LOSS), linewidth=1, label="training")
    axes.plot(*history.losses(DEV_LOSS), marker="o", markersize=3, label="dev split")
    axes.set(xlabel="optimizer step", ylabel="cross-entropy of an answer token", title="Loss")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(folder / CURVE, dpi=_DPI)
    return folder / CURVE


def _line(record: dict[str, float]) -> str:
    return json.dumps(record) + "\n"
