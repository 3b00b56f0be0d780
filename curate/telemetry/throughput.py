"""How fast a run was, and why not faster: its measurements in words."""

from __future__ import annotations

from collections.abc import Iterator

from curate.telemetry.metrics import Gauge, Metrics, Step

_PASSES = (Step.SCORE, Step.CONTINUE)
_LIMITS = {
    "preparation": "preparing sets the pace: more engine.workers, or cores for them, would help",
    "engine": "the engine sets the pace",
    "places": "what may be in flight sets the pace: raise engine.max_requests or engine.max_bytes",
    "reading": "reading sets the pace: more engine.shards_in_flight, or nearer storage, would help",
    "writing": "writing to output.dir sets the pace",
    "loop": "the process that hands out the work sets the pace: several engines (processes) would help",
}
_SHORT = {
    "preparation": "preparing; more engine.workers or cores help",
    "engine": "the engine",
    "places": "engine.max_requests and engine.max_bytes; higher ones help",
    "reading": "reading; more engine.shards_in_flight or nearer storage help",
    "writing": "writing to output.dir",
    "loop": "the process that hands out the work; several engines help",
}


def pace(metrics: Metrics) -> Iterator[str]:
    """Two lines for a person; none where nothing was asked.

    Args:
        metrics: of one worker or of all.
    """
    if not metrics.workers:
        return
    inside = f"{metrics.mean(Gauge.ENGINE):.0f} requests in it on average"
    yield f"engine      waited {metrics.waited_share:.1%} of the time, {inside}; {_LIMITS[metrics.limit]}"
    yield f"an image    {'   '.join(_steps(metrics))}   ({metrics.rate:.1f} images/s a worker)"


def pace_in_short(metrics: Metrics) -> str | None:
    """The rate, and what sets it; None where nothing was asked."""
    if not metrics.workers:
        return None
    each = "" if metrics.workers == 1 else " a worker"
    waited = f", which waited {metrics.waited_share:.1%} of the time" if metrics.limit == "engine" else ""
    return f"{metrics.rate:.1f} images/s{each}, set by {_SHORT[metrics.limit]}{waited}"


def _steps(metrics: Metrics) -> Iterator[str]:
    for step in (Step.READ, Step.DECODE, Step.RENDER, Step.ENGINE, Step.WRITE):
        yield f"{step} {_milliseconds(metrics, step)}{_passes(metrics) if step is Step.ENGINE else ''}"


def _passes(metrics: Metrics) -> str:
    """The engine's passes, where it told of any."""
    if not any(metrics.each(step) for step in _PASSES):
        return ""
    return f" ({', '.join(f'{step} {_milliseconds(metrics, step)}' for step in _PASSES)})"


def _milliseconds(metrics: Metrics, step: Step) -> str:
    milliseconds = 1000 * metrics.each(step)
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
