"""A document as one HTML file that acts on nothing and loads nothing, whatever its texts say.

There is no script in it, and a browser that reads its policy of content would run none: no script, no frame, no form,
no address; the one style by its digest; pictures and charts from the file itself. Templates escape every text.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from curate.core.content_policy import digest_of
from curate.report.drawing import WIDTHS, embedded
from curate.report.shapes import Chart, Document, Figure, Intervals

MOST_ROWS = 200
"""Of a table."""
_KINDS = {
    "Prose": "prose",
    "Note": "note",
    "Headline": "headline",
    "Pairs": "pairs",
    "Command": "command",
    "Verbatim": "verbatim",
    "Figure": "figure",
    "Cards": "cards",
}


def charts_of(document: Document) -> list[Chart]:
    """Its charts, in their order."""
    return [
        block.chart
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Figure) and block.chart is not None
    ]


def page(document: Document, drawn: Sequence[Sequence[str]]) -> str:
    """The HTML of a document.

    Args:
        document: what it shows.
        drawn: the SVGs of each of `charts_of(document)`, in the widths of `drawing.WIDTHS`; none of one that could not
            be drawn.
    """
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            svgs=_svgs(document, drawn),
            style=Markup(style()),
            policy=Markup(content_policy()),
        )
    )


@cache
def style() -> str:
    """The style sheet."""
    return (files("curate.report") / "templates" / "style.css").read_text(encoding="utf-8")


def content_policy() -> str:
    """What a browser is told that it may do with the file."""
    style_src = digest_of(style())
    return f"default-src 'none'; img-src data:; style-src {style_src}; base-uri 'none'; form-action 'none'"


def _svgs(document: Document, drawn: Sequence[Sequence[str]]) -> Mapping[int, Sequence[Markup]]:
    """Of each chart, by its identity: what `vl-convert` made, in which every label is escaped."""
    named = enumerate(zip(charts_of(document), drawn, strict=True))
    return {
        id(chart): [Markup(embedded(svg, len(WIDTHS) * number + n)) for n, svg in enumerate(svgs)]
        for number, (chart, svgs) in named
        if len(svgs) == len(WIDTHS)
    }


def _legend(chart: Chart) -> Sequence[tuple[str, str]]:
    """Names and roles of what is told apart by colours; nothing where one colour is all there is."""
    if isinstance(chart, Intervals) or len(chart.series) < 2:
        return ()
    return [(series.name, series.role.value) for series in chart.series]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("curate.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    environment.filters["kind"] = lambda block: _KINDS[type(block).__name__]
    environment.filters["legend"] = _legend
    environment.globals |= {"identity": id, "most": MOST_ROWS}
    return environment
