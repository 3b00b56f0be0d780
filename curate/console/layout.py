"""Rows of a terminal: wrapped by what characters take there, under labels, beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

LABEL = 12
"""Columns of a label."""
MORE = " ..."

_ANY = Console(width=80, force_terminal=False)
"""What wraps asks for the size of a tab, which no text here holds."""


def paragraph(text: Text, width: int, most: int | None = None) -> list[Text]:
    """`text` in rows of at most `width` columns, and at most `most` of them."""
    rows = list(text.wrap(_ANY, max(width, 1), overflow="fold"))
    for row in rows:
        row.rstrip()
    if most is None or len(rows) <= most:
        return rows
    last = rows[most - 1]
    last.truncate(max(0, width - len(MORE)))
    last.rstrip()
    return [*rows[: most - 1], last.append(MORE)]


def warning(text: str | None, width: int) -> list[Text]:
    """What whoever reads on has to know first; nothing where there is none."""
    return paragraph(Text(f"Mind: {text}", style="yellow"), width) if text else []


def field(label: str, text: Text | str, width: int, most: int | None = None) -> Iterator[Text]:
    """`text` behind a label, its further rows below the first."""
    content = Text(text) if isinstance(text, str) else text
    for number, row in enumerate(paragraph(content, width - LABEL, most)):
        head = label if number == 0 else ""
        # A label of any length, as a policy's name is one, does without the column rather than without a space.
        yield Text().append(f"{head.ljust(LABEL - 1)} ", style="bold").append_text(row)


def beside(blocks: Sequence[Sequence[Text]], widths: Sequence[int]) -> Iterator[Text]:
    """Blocks of rows side by side, each in so many columns."""
    for rows in zip_longest(*blocks, fillvalue=Text()):
        line = Text()
        for row, width in zip(rows, widths, strict=True):
            padded = row.copy()
            padded.truncate(width, pad=True)
            line.append_text(padded)
        line.rstrip()
        yield line
