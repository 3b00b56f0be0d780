"""How fast the run was over its time, and how long the engine had nothing to do."""

from __future__ import annotations

from curate.console.terminal import duration
from curate.report.facts import Facts
from curate.report.pace import Pace
from curate.report.shapes import Block, Curves, Figure, Prose, Role, Section, Series, Table
from curate.report.words import count, percent
from curate.telemetry.metrics import Step

STEPS = (Step.READ, Step.LINE, Step.DECODE, Step.RENDER, Step.ENGINE, Step.WRITE)


def throughput(facts: Facts) -> Section | None:
    """Over time; None where nothing was measured."""
    pace = facts.pace
    if pace is None:
        return None
    metrics = pace.metrics
    workers = "one worker" if metrics.workers == 1 else f"{count(metrics.workers)} workers"
    blocks: list[Block] = [
        Prose(
            text=f"{count(metrics.samples)} samples by {workers}, "
            f"{metrics.rate:.1f} a second and worker; the engine waited {percent(metrics.waited_share)} of the time. "
            + (f"Time in which nobody worked is left out ({count(pace.pauses)} times)." if pace.pauses else "")
        ),
        Figure(table=_steps(pace), chart=_rate(pace)),
        Figure(table=_over_time(pace), chart=_waited(pace)),
    ]
    if pace.files_read < pace.files:
        blocks.append(
            Prose(
                text=f"Of {count(pace.files)} files of measurements {count(pace.files_read)} were read, evenly chosen."
            )
        )
    return Section(name="throughput", title="Throughput and idle engines", blocks=tuple(blocks))


def _time(pace: Pace) -> tuple[str, tuple[float, ...]]:
    """The axis, and where each bin begins on it."""
    last = pace.seconds[-1]
    unit, seconds = ("hours", 3600.0) if last > 3 * 3600 else ("minutes", 60.0) if last > 180 else ("seconds", 1.0)
    return f"{unit} of work", tuple(at / seconds for at in pace.seconds)


def _rate(pace: Pace) -> Curves:
    axis, x = _time(pace)
    series = Series(name="samples a second", role=Role.KEPT, values=pace.rate)
    return Curves(
        says="Line of the samples that all workers finished each second, over time",
        axis=axis,
        value_axis="samples a second",
        x=x,
        series=(series,),
    )


def _waited(pace: Pace) -> Curves:
    axis, x = _time(pace)
    series = Series(name="engine idle", role=Role.REVIEW, values=pace.waited)
    return Curves(
        says="Line of the share of time in which engines had nothing to do, over time",
        axis=axis,
        value_axis="engine idle",
        x=x,
        series=(series,),
        share=True,
    )


def _steps(pace: Pace) -> Table:
    rows = tuple((step.value, f"{1000 * pace.metrics.each(step):,.1f}") for step in STEPS)
    return Table(
        caption="Where a sample spends its time, on average; samples overlap",
        header=("step", "milliseconds"),
        rows=rows,
    )


def _over_time(pace: Pace) -> Table:
    """A dozen rows of it: the chart has the rest."""
    each = max(1, -(-len(pace.seconds) // 12))
    rows = []
    for start in range(0, len(pace.seconds), each):
        rates, waited = pace.rate[start : start + each], pace.waited[start : start + each]
        rows.append(
            (duration(pace.seconds[start]), f"{sum(rates) / len(rates):,.1f}", percent(sum(waited) / len(waited)))
        )
    return Table(caption="Over time", header=("from", "samples a second", "engine idle"), rows=tuple(rows))
