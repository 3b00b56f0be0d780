"""Examples as rows of a terminal: in words, and beside small pictures where there are any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from PIL.Image import Image
from rich.text import Text

from curate.console import layout
from curate.console.half_blocks import half_blocks
from curate.console.untrusted_text import one_line
from curate.core.types import Rating
from curate.summary.examples import Example, Kind

SIDE_BY_SIDE_FROM = 100
"""Columns for three pictures in a row; on a narrower screen they stand below each other, and are smaller."""
LARGE, SMALL = (16, 8), (12, 6)
_STYLES = {Kind.SAFE: "bold green", Kind.UNSAFE: "bold red", Kind.BORDER: "bold yellow"}


def example_rows(examples: Sequence[Example], images: Mapping[Kind, Image], width: int) -> Iterator[Text]:
    """Rows of at most `width` columns; without any picture just words.

    Args:
        examples: in order.
        images: those there are.
        width: of the screen.
    """
    if not images:
        for number, example in enumerate(examples):
            yield from _in_words("" if number else "examples", example, width)
        return
    if width >= SIDE_BY_SIDE_FROM:
        column = width // len(Kind)
        blocks = [list(_block(example, images, column - 2, LARGE)) for example in examples]
        yield from (Text(), *layout.beside(blocks, [column] * len(blocks)), Text())
        return
    for example in examples:
        yield from _block(example, images, width, SMALL)


def _in_words(label: str, example: Example, width: int) -> Iterator[Text]:
    title = Text().append(example.kind.value, style=_STYLES[example.kind])
    title.append("".join(f", {part}" for part in _scores(example))).append(": ")
    title.append(f'"{one_line(example.name)}"', style="italic")
    yield from layout.field(label, title, width, 2)
    if _informs(example):
        yield from layout.field("", one_line(example.rationale), width, 1)


def _block(example: Example, images: Mapping[Kind, Image], width: int, box: tuple[int, int]) -> Iterator[Text]:
    """An example in `width` columns: its picture, and its words beside that."""
    columns, rows = box
    image = images.get(example.kind)
    picture = half_blocks(image, columns, rows) if image else []
    taken = columns + 2 if image else 0
    return layout.beside([picture, _words(example, width - taken, rows)], [taken, width - taken])


def _words(example: Example, width: int, rows: int) -> list[Text]:
    title = Text(example.kind.value, style=_STYLES[example.kind])
    scores = Text(", ".join(_scores(example)))
    name = Text(f'"{one_line(example.name)}"', style="italic")
    most = 3 if _informs(example) else rows - 2
    words = [*layout.paragraph(title, width, 1), *layout.paragraph(scores, width, 1)]
    words += layout.paragraph(name, width, most)
    if _informs(example) and len(words) < rows:
        words += layout.paragraph(Text(one_line(example.rationale), style="dim"), width, rows - len(words))
    return words


def _scores(example: Example) -> list[str]:
    score = [] if example.p_unsafe is None else [f"p_unsafe {example.p_unsafe:.2f}"]
    return [*score, *([example.category] if example.rating == Rating.UNSAFE else [])]


def _informs(example: Example) -> bool:
    """Of what is surely safe a rationale says no more than that."""
    return bool(example.rationale) and example.kind is not Kind.SAFE
