"""Charts in their process: what kills it costs that chart, and what is in a label acts on nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from curate.report.drawing import LIGHT, WIDTHS, Drawer, embedded
from curate.report.shapes import Bars, Curves, Histogram, Intervals, Mark, Role, Series

CHARTS = (
    Bars(says="", axis="n", labels=("a", "b"), series=(Series(name="s", role=Role.KEPT, values=(1, None)),)),
    Histogram(
        says="",
        axis="p",
        edges=(0, 0.5, 1),
        series=(Series(name="s", role=Role.KEPT, values=(1, 2)), Series(name="t", role=Role.UNSAFE, values=(0, 2))),
        marks=(Mark(at=0.3, label="here"), Mark(at=0.9, label="there")),
    ),
    Curves(
        says="",
        axis="x",
        value_axis="y",
        x=(0.0, 1.0),
        series=(
            Series(name="s", role=Role.REVIEW, values=(0.2, 0.4)),
            Series(name="t", role=Role.UNSAFE, values=(0, 1)),
        ),
        stacked=True,
        share=True,
    ),
    Intervals(says="", axis="x", labels=("a",), values=(0.5,), lows=(0.4,), highs=(0.6,)),
)


def labelled(label: str) -> Bars:
    return Bars(says="", axis="n", labels=(label,), series=(Series(name="s", role=Role.KEPT, values=(1,)),))


@pytest.fixture
def drawer():
    made = Drawer()
    yield made
    made.close()


@pytest.mark.slow
def test_every_kind_of_chart_in_both_widths_and_in_colours_that_the_style_knows(drawer):
    for svgs in drawer.draw(CHARTS):
        assert len(svgs) == len(WIDTHS)
        for svg, width in zip(svgs, WIDTHS, strict=True):
            root = ElementTree.fromstring(svg)
            assert abs(float(root.attrib["width"]) - width) < 40
            assert "style=" not in svg
            assert "<script" not in svg
            colours = set(re.findall(r"#[0-9a-f]{6}\b", svg))
            assert colours <= {*LIGHT.values(), "#24292f", "#57606a", "#d8dee4"}


@pytest.mark.slow
@pytest.mark.parametrize("label", ["a\x00b", "a\x0bb", "a\ufffeb"])
def test_a_label_that_kills_the_process_costs_that_chart_alone(drawer, label):
    before, dead, after = drawer.draw([labelled("x"), labelled(label), labelled("y")])
    assert len(before) == len(after) == len(WIDTHS)
    assert dead == ()
    assert ">y</text>" in after[0]


@pytest.mark.slow
def test_markup_in_a_label_stays_text(drawer):
    hostile = "</text></svg><script>document.title='x'</script>]]>&amp;"
    ((svg, _),) = drawer.draw([labelled(hostile)])
    ElementTree.fromstring(svg)
    assert "<script" not in svg


def test_clips_have_names_of_their_own_and_roles_go():
    inside = '<g aria-label="x" clip-path="url(#clip0)"><text>role="x"</text></g>'
    svg = f'<svg role="img"><clipPath id="clip0"/>{inside}</svg>'
    assert embedded(svg, 7) == (
        '<svg><clipPath id="c7-clip0"/><g clip-path="url(#c7-clip0)"><text>role="x"</text></g></svg>'
    )


@pytest.mark.slow
def test_whoever_runs_imports_nothing_that_draws():
    code = (
        "import sys, curate.cli.commands.run, curate.cli.commands.report, curate.report.write_report\n"
        "print([m for m in ('altair', 'vl_convert', 'curate.report.facts', 'curate.report.page') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
