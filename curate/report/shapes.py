"""What a report is made of before it is drawn: sections of blocks, without a word of HTML or of a chart library.

All of it is frozen and can be pickled. Texts may hold anything: whoever draws them makes them harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a colour stands for; the same thing has the same colour in every chart."""

    KEPT = "kept"
    UNSAFE = "unsafe"
    REVIEW = "review"
    FAILED = "failed"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A part of every bar, or one line.

    Attributes:
        name: as the legend has it.
        role: its colour.
        values: one for each label of `Bars`, each bin of `Histogram` or each x of `Curves`; None is a gap.
    """

    name: str
    role: Role
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A dashed line across a chart, with words beside it: a threshold."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Horizontal bars, one for each label, made of the series.

    Attributes:
        says: what the chart shows, for those who do not see it.
        axis: what the values are; shares (0 to 1) where `share`.
    """

    says: str
    axis: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    share: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Upright bars over the bins between `edges`, stacked; the scale of counts is a square root."""

    says: str
    axis: str
    edges: tuple[float, ...]
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Lines over `x`, or areas on top of each other where `stacked`."""

    says: str
    axis: str
    value_axis: str
    x: tuple[float, ...]
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    stacked: bool = False
    share: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """A dot with its interval for each label, as fractions between 0 and 1."""

    says: str
    axis: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


Chart = Bars | Histogram | Curves | Intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as it is read; the first column names the row, the others are numbers unless named in `texts`."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: frozenset[str] = frozenset()
    folded: bool = False
    """Whether it is shown only when asked for, beside a chart that says most of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart, and beside it the table of what it shows; either alone where there is no use for both."""

    table: Table
    chart: Chart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A paragraph that must not be overlooked."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A number, and what it is, in large letters."""

    number: str
    text: str
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Terms and what they are here."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to type, and what it does."""

    does: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbatim:
    """A long text as it is, shown when asked for."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Pixels that may be shown.

    Attributes:
        data: of a WebP file.
        mosaic: whether there are no more than 16 pixels a side.
        veiled: whether it is blurred until somebody asks for it.
    """

    data: bytes
    width: int
    height: int
    mosaic: bool
    veiled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One sample.

    Attributes:
        title: what was found.
        role: its colour.
        badges: short facts.
        lines: longer ones by name: key, caption, link.
        text: the rationale, or why there is none.
        picture: None where there is none to show, and then `instead` says why.
        alt: says what is known of the picture, and never what is on it.
    """

    title: str
    role: Role
    badges: tuple[str, ...] = ()
    lines: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    picture: Picture | None = None
    instead: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Samples side by side."""

    title: str
    cards: tuple[Card, ...]


Block = Prose | Note | Headline | Pairs | Command | Verbatim | Figure | Cards


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the report.

    Attributes:
        name: its anchor, of small letters and hyphens.
        title: its heading, and its place in the list of sections.
        blocks: from top to bottom.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A report.

    Attributes:
        title, subtitle: its heading, and what it is about.
        warning: what has to be known before anything else; None for nothing.
        foot: how it was made.
        mark: tells what it is a report of; of letters and digits.
    """

    title: str
    subtitle: str
    warning: str | None
    sections: tuple[Section, ...]
    foot: str
    mark: str
