"""Judge a few pictures at once: files, all images of a folder, or `-` for one picture on standard input.

Nothing is written; a data set is judged with `run`. `format=json` prints one line of JSON for each picture and policy.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from rich.text import Text

from curate.annotation.on_demand import STDIN, judged, named_files, read
from curate.cli.hydra_config import compose_settings
from curate.cli.remarks import remarks
from curate.console import layout
from curate.console.output import say
from curate.console.screen import Screen
from curate.console.untrusted_text import one_line
from curate.core.errors import ExitCode, InputError
from curate.core.types import Annotation, Rating
from curate.pipeline.opening import settle_dtype
from curate.settings.run import Settings

SUMMARY = "verdicts on a few pictures at once; writes nothing"
EXAMPLE = "judge a.jpg b.png policy=drawings"
ARGUMENTS = """
format=text|json          how verdicts are printed (default text)
"""
SETTINGS = "model policy policies engine"
WORDS = "*"

FORMATS = ("text", "json")
_FIELDS = ("policy", "status", "rating", "category", "category_name", "p_unsafe", "rationale", "detail", "sha256")
_STYLES = {Rating.SAFE: "bold green", Rating.UNSAFE: "bold red", None: "bold yellow"}


def main(argv: list[str]) -> ExitCode:
    """Print a verdict for each picture under each policy, in the order of the pictures.

    Raises:
        InputError: no pictures, or none where one is named; a wrong setting.
    """
    names, overrides = _pictures(argv)
    form = next((o.partition("=")[2] for o in overrides if o.startswith("format=")), FORMATS[0])
    if form not in FORMATS:
        raise InputError(f"format={form}: there is no such format; choose one of {', '.join(FORMATS)}")
    files = named_files(names)
    settings = _settings([o for o in overrides if not o.startswith("format=")])
    asyncio.run(_as_json(settings, files) if form == "json" else _as_text(settings, files))
    return ExitCode.DONE


def _pictures(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of pictures, and the other arguments; with no name at all what is piped in."""
    names = [a for a in argv if a == STDIN or "=" not in a or Path(a).exists()]
    overrides = [a for a in argv if a not in names]
    if not names and sys.stdin is not None and not sys.stdin.isatty():
        names = [STDIN]
    if not names:
        raise InputError("judge: no pictures; name files or folders, as in: python -m curate judge a.jpg photos/")
    return names, overrides


def _settings(overrides: Sequence[str]) -> Settings:
    """Of the data set only the limits count, which are those of any folder."""
    for override in overrides:
        if override.lstrip("+~").partition("=")[0].partition(".")[0] not in SETTINGS.split():
            raise InputError(f"{override}: changes no verdict; `judge` takes settings of {', '.join(SETTINGS.split())}")
    composed = compose_settings(["+dataset=folder", "dataset.shards=.", *overrides])
    return settle_dtype(composed, None)


async def _as_json(settings: Settings, files: Sequence[str]) -> None:
    async with aclosing(judged(settings, read(files, settings.dataset))) as verdicts:
        async for rows in verdicts:
            for row in rows.values():
                fields = {name: getattr(row, name) for name in _FIELDS}
                say(json.dumps({"file": row.key, **fields}))


async def _as_text(settings: Settings, files: Sequence[str]) -> None:
    screen = Screen()
    screen.show(*layout.warning(settings.shown_model.warning, screen.width))
    say(*remarks(settings))
    counts: Counter[str] = Counter()
    async with aclosing(judged(settings, read(files, settings.dataset))) as verdicts:
        async for rows in verdicts:
            for row in rows.values():
                counts[row.rating or "without a label"] += 1
                screen.show(*_verdict(row, screen.width, several=len(rows) > 1))
    if len(files) > 1:
        say("", f"{', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}, by {settings.model.name}")


def _verdict(row: Annotation, width: int, *, several: bool) -> Iterator[Text]:
    name = "standard input" if row.key == STDIN else row.key
    head = Text(one_line(f"{name}, {row.policy}" if several else name)).append(": ")
    if row.rating is None:
        head.append(f"no label, {row.status}", style=_STYLES[None])
        yield from layout.paragraph(head, width)
        yield from _indented(row.detail or "", width)
        return
    head.append(row.rating, style=_STYLES[row.rating])
    head.append("".join(f", {part}" for part in _why(row)))
    yield from layout.paragraph(head, width)
    yield from _indented(row.rationale or "", width)


def _why(row: Annotation) -> Iterator[str]:
    if row.rating is Rating.UNSAFE:
        yield f"{row.category}: {row.category_name}"
    if row.p_unsafe is not None:
        yield f"p_unsafe {row.p_unsafe:.2f}"


def _indented(text: str, width: int) -> Iterator[Text]:
    for line in layout.paragraph(Text(one_line(text)), width - 4) if text else ():
        yield Text("    ").append_text(line)
