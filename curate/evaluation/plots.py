"""Reliability, ROC and precision-recall as PNG, all predictions in one picture each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate.evaluation.assess import Assessment
from curate.evaluation.ranking import can_rank, curves

_DPI = 150
_INCHES = (5.2, 4.6)
_LARGEST_DOT = 400
"""Area in square points of a bin that holds every row."""


def write_plots(assessments: Sequence[Assessment], folder: Path) -> list[Path]:
    """Write the plots that the predictions allow into `folder`; the paths, none where there is no p_unsafe."""
    drawings = {
        "reliability.png": (_draw_reliability, [a for a in assessments if a.reliability]),
        "roc.png": (_draw_roc, [a for a in assessments if can_rank(a.outcomes)]),
        "precision-recall.png": (_draw_precision_recall, [a for a in assessments if can_rank(a.outcomes)]),
    }
    return [_write(folder / name, draw, shown) for name, (draw, shown) in drawings.items() if shown]


def _write(path: Path, draw: Callable[[Any, Assessment], None], assessments: Sequence[Assessment]) -> Path:
    with _axes(path) as axes:
        for assessment in assessments:
            draw(axes, assessment)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.grid(alpha=0.25)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=9)
    return path


@contextmanager
def _axes(path: Path) -> Iterator[Any]:
    """Axes that are written to `path` at the end, without a display and without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    yield figure.add_subplot()
    figure.savefig(path, dpi=_DPI)


def _draw_reliability(axes: Any, a: Assessment) -> None:
    assert a.reliability
    table, error = a.reliability.table, a.reliability.errors["expected_calibration_error"]
    predicted, observed = [b.mean_p_unsafe for b in table], [b.share_unsafe for b in table]
    line = axes.plot(
        predicted, observed, label=f"{a.name} (calibration error {error:.3f}, n = {a.reliability.n})", linewidth=1
    )
    areas = [_LARGEST_DOT * b.n / a.reliability.n + 6 for b in table]
    axes.scatter(predicted, observed, s=areas, color=line[0].get_color())
    axes.axline((0, 0), slope=1, color="grey", linestyle=":", linewidth=1)
    axes.set(
        xlabel="mean p_unsafe of the bin",
        ylabel="share that is Unsafe",
        title="Reliability (area of a dot: rows in the bin)",
    )


def _draw_roc(axes: Any, a: Assessment) -> None:
    points = curves(a.outcomes)
    axes.plot([0, *points.false_positive_rate], [0, *points.recall], label=f"{a.name} (area {a.areas['roc_area']:.3f})")
    axes.axline((0, 0), slope=1, color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="false positive rate", ylabel="recall", title="ROC")


def _draw_precision_recall(axes: Any, a: Assessment) -> None:
    points = curves(a.outcomes)
    axes.step(
        [0, *points.recall],
        [points.precision[0], *points.precision],
        where="pre",
        label=f"{a.name} (area {a.areas['precision_recall_area']:.3f})",
    )
    axes.axhline(a.outcomes.unsafe.mean(), color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall")
