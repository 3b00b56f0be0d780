"""Charts -> SVG, by Altair and vl-convert, in a process of its own: `python -m curate.report.drawing`.

Some characters make vl-convert abort the whole process it is in, and importing it takes what no other command should
wait for. The process reads pickled (chart, width) pairs, and answers each with its SVG. Where it dies, that chart is
left out (its table stands beside it), and another process draws the rest.

Every colour is one of `LIGHT`, so that the report's style sheet can repaint them where it is dark.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import IO, Any

from curate.report.shapes import Bars, Chart, Curves, Histogram, Intervals, Mark, Role, Series

WIDTHS = (560, 320)
"""In CSS pixels: beside its table on a desk, and on a phone."""

MOST_BARS = 30
"""Of a chart; the table beside it has the others."""
INK, FAINT, GRID = "#24292f", "#57606a", "#d8dee4"
LIGHT: Mapping[Role, str] = {
    Role.KEPT: "#0072b2",
    Role.UNSAFE: "#d55e00",
    Role.REVIEW: "#e69f00",
    Role.FAILED: "#8c8c8c",
    Role.OTHER: "#009e73",
}
"""Okabe and Ito's colours, which people tell apart who see colours otherwise."""

_FONT = "Arial, Liberation Sans, sans-serif"
_TAG = re.compile(r"<[^>]*>")
_ROLES = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_CLIP = re.compile(r'(id="|url\(#)(clip\d+|gradient_\d+)')
_SIZE = struct.Struct(">I")


FIRST = Bars(says="", axis="", labels=("",), series=(Series(name="", role=Role.KEPT, values=(1,)),))


def missing() -> list[str]:
    """Which of the packages that draw are not installed; the extra `report` brings them."""
    return [name for name in ("altair", "vl_convert") if find_spec(name) is None]


class Drawer:
    """Draws in a child process, which is started at once, so that it imports while others work."""

    def __init__(self) -> None:
        self._process = _start()

    def draw(self, charts: Sequence[Chart]) -> list[tuple[str, ...]]:
        """For each chart its SVG in each of `WIDTHS`; of one that cannot be drawn nothing."""
        return [tuple(svg for width in WIDTHS if (svg := self._one(chart, width))) for chart in charts]

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self._pipe(self._process.stdin).close()
        self._process.wait()
        self._pipe(self._process.stdout).close()

    def _one(self, chart: Chart, width: int) -> str:
        to, back = self._pipe(self._process.stdin), self._pipe(self._process.stdout)
        try:
            _send(to, pickle.dumps((chart, width)))
            answer = _received(back)
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.close()
            self._process = _start()
            return ""
        return answer.decode()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


def _start() -> subprocess.Popen[bytes]:
    quiet = None if os.environ.get("CURATE_VERBOSE") else subprocess.DEVNULL
    command = [sys.executable, "-m", "curate.report.drawing"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet)


def _send(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(_SIZE.pack(len(data)) + data)
    pipe.flush()


def _received(pipe: IO[bytes]) -> bytes | None:
    """The next message; None where the other side has ended."""
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    data = pipe.read(size)
    return data if len(data) == size else None


def svg_of(chart: Chart, width: int) -> str:
    """The SVG of a chart that is `width` CSS pixels wide. Imports Altair and vl-convert: for the child process."""
    import altair as alt
    import vl_convert

    alt.data_transformers.disable_max_rows()
    spec = _drawn(chart, width).configure(**_config()).to_dict(validate=False)
    return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))


def _drawn(chart: Chart, width: int) -> Any:
    match chart:
        case Bars():
            return _bars(chart, width)
        case Histogram():
            return _histogram(chart, width)
        case Curves():
            return _curves(chart, width)
        case Intervals():
            return _intervals(chart, width)


def embedded(svg: str, number: int) -> str:
    """`svg` as a page with several can have it: clips under names of its own, and no roles, since a figure has one."""
    return _TAG.sub(lambda tag: _CLIP.sub(rf"\g<1>c{number}-\g<2>", _ROLES.sub("", tag[0])), svg)


def _config() -> dict[str, Any]:
    axis = {
        "labelFont": _FONT,
        "titleFont": _FONT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    axis |= {"labelColor": INK, "titleColor": FAINT, "gridColor": GRID, "domainColor": GRID, "tickColor": GRID}
    return {
        "aria": False,  # the figure says it, and the table beside it
        "background": "transparent",
        "font": _FONT,
        "axis": axis | {"titlePadding": 8},
        "view": {"stroke": None},
        "padding": {"left": 4, "right": 12, "top": 4, "bottom": 2},
        "autosize": {"type": "fit-x", "contains": "padding"},
    }


def _bars(chart: Bars, width: int) -> Any:
    import altair as alt

    labels = chart.labels[:MOST_BARS]
    rows = [
        {"l": label, "s": series.name, "v": value, "o": order}
        for order, series in enumerate(chart.series)
        for label, value in zip(labels, series.values[:MOST_BARS], strict=True)
    ]
    names = alt.Axis(labelLimit=round(width * 0.4), ticks=False, domain=False, labelPadding=6)
    y = alt.Y("l:N", sort=list(labels), title=None, axis=names)
    values = _value_axis(share=chart.share)
    x = alt.X("v:Q", title=chart.axis, stack="zero", axis=values)
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(height=16, cornerRadius=1)
    return bars.encode(y=y, x=x, color=_colour(chart.series), order="o:Q").properties(
        width=width, height=26 * max(1, len(labels))
    )


def _histogram(chart: Histogram, width: int) -> Any:
    import altair as alt

    rows = []
    below = [0.0] * (len(chart.edges) - 1)
    for series in chart.series:
        for number, value in enumerate(series.values):
            top = below[number] + (value or 0)
            place = {"a": chart.edges[number], "b": chart.edges[number + 1], "s": series.name}
            rows.append(place | {"y": below[number], "y2": top})
            below[number] = top
    x = alt.X("a:Q", title=chart.axis, scale=_fixed(chart.edges), axis=alt.Axis(grid=False, tickCount=6))
    y = alt.Y("y:Q", title="samples", scale=alt.Scale(type="sqrt"), axis=_value_axis(share=False, ticks=4))
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(stroke=None)
    drawn = bars.encode(x=x, x2="b:Q", y=y, y2="y2:Q", color=_colour(chart.series))
    return _with_marks(drawn, chart.marks, width, 220)


def _curves(chart: Curves, width: int) -> Any:
    import altair as alt

    rows = [
        {"x": x, "s": series.name, "v": value, "o": order}
        for order, series in enumerate(chart.series)
        for x, value in zip(chart.x, series.values, strict=True)
    ]
    x = alt.X("x:Q", title=chart.axis, scale=_fixed(chart.x), axis=alt.Axis(grid=False, tickCount=6))
    y = alt.Y(
        "v:Q",
        title=chart.value_axis,
        stack="zero" if chart.stacked else None,
        axis=_value_axis(share=chart.share, ticks=5),
        scale=alt.Scale(domain=[0, 1]) if chart.share else alt.Scale(zero=True),
    )
    base = alt.Chart(alt.Data(values=rows))
    marked = base.mark_area(opacity=0.85) if chart.stacked else base.mark_line(strokeWidth=2)
    encoded = (
        marked.encode(x=x, y=y, color=_colour(chart.series), order="o:Q")
        if chart.stacked
        else marked.encode(x=x, y=y, color=_colour(chart.series))
    )
    return _with_marks(encoded, chart.marks, width, 200)


def _intervals(chart: Intervals, width: int) -> Any:
    import altair as alt

    rows = [
        {"l": label, "v": value, "a": low, "b": high}
        for label, value, low, high in zip(chart.labels, chart.values, chart.lows, chart.highs, strict=True)
    ]
    base = alt.Chart(alt.Data(values=rows))
    names = alt.Axis(labelLimit=round(width * 0.4), ticks=False, domain=False, labelPadding=6)
    y = alt.Y("l:N", sort=list(chart.labels), title=None, axis=names)
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("a:Q", title=chart.axis, scale=scale, axis=_value_axis(share=True))
    ranges = base.mark_rule(strokeWidth=3, color=LIGHT[Role.KEPT], opacity=0.5).encode(y=y, x=x, x2="b:Q")
    dots = base.mark_point(filled=True, size=70, color=LIGHT[Role.KEPT], opacity=1).encode(
        y=y, x=alt.X("v:Q", scale=scale)
    )
    return (ranges + dots).properties(width=width, height=26 * max(1, len(rows)))


def _value_axis(*, share: bool, ticks: int = 5) -> Any:
    import altair as alt

    form = {"format": ".0%"} if share else {"format": "~s", "labelExpr": "datum.value ? datum.label : '0'"}
    return alt.Axis(**form, tickCount=ticks, domain=False, ticks=False)


def _fixed(values: Sequence[float]) -> Any:
    import altair as alt

    return alt.Scale(domain=[min(values), max(values)], nice=False)


def _colour(series: Sequence[Series]) -> Any:
    """Without a legend: the page has one, in letters of its own size."""
    import altair as alt

    scale = alt.Scale(domain=[one.name for one in series], range=[LIGHT[one.role] for one in series])
    return alt.Color("s:N", scale=scale, legend=None)


def _with_marks(drawn: Any, marks: Sequence[Mark], width: int, height: int) -> Any:
    import altair as alt

    layers = drawn
    for number, mark in enumerate(marks):
        base = alt.Chart(alt.Data(values=[{"x": mark.at, "l": mark.label}]))
        rule = base.mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color=INK).encode(x="x:Q")
        left = mark.at > 0.6
        words = base.mark_text(
            align="right" if left else "left", baseline="top", dx=-5 if left else 5, fontSize=12, color=INK
        ).encode(x="x:Q", y=alt.value(2 + 15 * number), text="l:N")
        layers = layers + rule + words
    return layers.properties(width=width, height=height)


def _asked() -> Iterator[tuple[Chart, int]]:
    while (message := _received(sys.stdin.buffer)) is not None:
        yield pickle.loads(message)


def main() -> None:
    """Answer until nobody asks any more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    svg_of(FIRST, WIDTHS[0])  # the first takes ten times as long, while nobody waits for it yet
    for chart, width in _asked():
        _send(out, svg_of(chart, width).encode())


if __name__ == "__main__":
    main()
