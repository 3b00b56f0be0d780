"""Where a summary is shown: a terminal with colours and pictures, or plain lines for a pipe."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.text import Text

from curate.console.output import say
from curate.console.terminal import interactive
from curate.console.untrusted_text import harmless
from curate.core.secrets import without_secrets

PLAIN_WIDTH = 80
PICTURES_FROM = 60
"""Columns a terminal needs for pictures with words beside them."""


class Screen:
    """Standard output as it is now.

    Colours and pictures are for terminals alone, whatever the environment says of colours in pipes, and not where
    NO_COLOR asks for none.

    Attributes:
        width: columns.
        pictures: whether pictures of coloured characters can be seen.
    """

    def __init__(self) -> None:
        terminal = interactive(sys.stdout)
        self._console = Console(file=sys.stdout, force_terminal=terminal, width=None if terminal else PLAIN_WIDTH)
        self._coloured = terminal and self._console.color_system is not None and not os.environ.get("NO_COLOR")
        self.width = self._console.width
        many = self._console.color_system in ("256", "truecolor")
        blocks = self._console.encoding.startswith("utf")
        self.pictures = self._coloured and many and blocks and self.width >= PICTURES_FROM

    def show(self, *rows: Text) -> None:
        """Print rows. Longer ones than the screen is wide are left to it, so that commands can be copied."""
        if not self._coloured:
            say(*(row.plain for row in rows))
            return
        with self._console:  # all at once
            for row in rows:
                self._console.print(_harmless(row), soft_wrap=True)


def _harmless(row: Text) -> Text:
    """Colours are in the styles; the letters may hold no codes, wherever they came from, and no secrets."""
    safe = harmless(without_secrets(row.plain))
    return row if safe == row.plain else Text(safe)
