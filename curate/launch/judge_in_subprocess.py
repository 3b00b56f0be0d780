"""A few pictures judged in a process that ends with the verdicts: for callers that live on, as notebooks do.

An engine needs a program that can be started a second time without doing anything, an event loop, signals, and memory
that only a process's end gives back. A notebook, or a script of three lines, has none of them to offer.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory

from curate.annotation.on_demand import judged, sample_of
from curate.console.output import configure
from curate.core.errors import CurateError, EngineDead
from curate.core.types import Annotation
from curate.processes.process_tree import kill_with_all_below
from curate.processes.signals import end_with, how_it_ended
from curate.settings.run import Settings

_QUESTION, _ANSWER = "question.pickle", "answer.pickle"
_PROGRAM = "import sys; from curate.launch.judge_in_subprocess import answer; answer(sys.argv[1], int(sys.argv[2]))"

_FOREVER = 1e9
"""Seconds. A wait with an end looks again and again; one without hears no Ctrl-C once polars is imported, whose handler
lets system calls go on."""


def judged_apart(settings: Settings, pictures: Sequence[bytes]) -> list[Annotation]:
    """The row of each encoded picture under each policy, in their order.

    Args:
        settings: as of `curate.annotation.on_demand.judged`.
        pictures: encoded; the key of each row is its number.

    Raises:
        CurateError: as the process raises it.
        EngineDead: the process died.
    """
    with TemporaryDirectory(prefix="curate-judge-") as folder:
        (Path(folder) / _QUESTION).write_bytes(pickle.dumps((settings, list(pictures))))
        process = subprocess.Popen([sys.executable, "-c", _PROGRAM, folder, str(os.getpid())], start_new_session=True)
        try:
            code = process.wait(_FOREVER)
        except BaseException:
            kill_with_all_below(process.pid)
            process.wait()
            raise
        if code != 0:
            raise EngineDead(f"the process that judges died ({how_it_ended(code)})")
        rows: list[Annotation] | CurateError = pickle.loads((Path(folder) / _ANSWER).read_bytes())
    if isinstance(rows, CurateError):
        raise rows
    return rows


def answer(folder: str, parent: int) -> None:
    """What the process does: reads what is asked from `folder`, and leaves the rows there, or the error."""
    end_with(parent)
    configure(verbose=False)
    settings, pictures = pickle.loads((Path(folder) / _QUESTION).read_bytes())
    try:
        rows: list[Annotation] | CurateError = asyncio.run(_rows(settings, pictures))
    except CurateError as error:
        rows = error
    (Path(folder) / _ANSWER).write_bytes(pickle.dumps(rows))


async def _rows(settings: Settings, pictures: Sequence[bytes]) -> list[Annotation]:
    samples = (sample_of(str(n), n, body, len(body), settings.dataset) for n, body in enumerate(pictures))
    async with aclosing(judged(settings, samples)) as verdicts:
        return [row async for rows in verdicts for row in rows.values()]
