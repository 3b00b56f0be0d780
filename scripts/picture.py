"""Make docs/demo.svg, the picture of the README, of what a command shows on a terminal.

    python scripts/picture.py .venv/bin/python -m curate run +dataset=laion_subset output.dir=runs/demo

runs the command in a terminal of its own, 112 columns wide. Without a command the picture is of standard input, as such
a terminal received it. Equal input gives an equal picture.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parents[1] / "docs" / "demo.svg"
COLUMNS, ROWS = 112, 40
COMMAND = "$ make demo"

LINE, CHARACTER = 24.4, 12.2
"""Height of a row and width of a column in the pictures that `rich` makes."""

_ERASE = "\x1b[K"
_FONT = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)
_CLASS = re.compile(r"\.(\S+-r\d+) \{ fill: (#\w+)[^}]*\}\n?")
_TEXT = r'<text class="([^"]+)" x="([^"]+)" y="([^"]+)" textLength="([^"]+)" clip-path="url\(#(\S+-line-(\d+))\)">'
_UPPER_HALVES = re.compile(rf"{_TEXT}\u2580+</text>")
_INDENTED = re.compile(rf"{_TEXT}((?:&#160;)+)")


def main() -> None:
    """Draw what the command shows."""
    shown = _run(sys.argv[1:]) if sys.argv[1:] else sys.stdin.read()
    TARGET.write_text(picture(shown), encoding="utf-8")


def picture(shown: str) -> str:
    """What a terminal received, as SVG; a block of colour is drawn as such, since fonts leave gaps between them."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(Text(COMMAND, style="bold"))
    for line in shown.replace("\r\n", "\n").rstrip().split("\n"):
        console.print(Text.from_ansi(_last(line)))
    svg = console.export_svg(title="curate")
    # The viewer's own monospaced font will do; a picture should fetch nothing.
    return _without_unused_classes(_indented(_with_blocks(_FONT.sub("\n", svg))))


def _run(command: list[str]) -> str:
    """All that `command` writes to its terminal."""
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execvp(command[0], command)
    received = b""
    try:
        while block := os.read(terminal, 65536):
            received += block
    except OSError:  # how Linux says that the other end was closed
        pass
    if status := os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        sys.exit(f"{' '.join(command)} ended with {status}:\n{received.decode()}")
    return received.decode()


def _last(line: str) -> str:
    """What is left of a line that was written over; what wrote over it was as long, or wiped it."""
    return line.rpartition("\r")[2].replace(_ERASE, "").rstrip()


def _with_blocks(svg: str) -> str:
    """`svg` with a rectangle for each upper half of a character; the lower halves are there as backgrounds."""
    colours = dict(_CLASS.findall(svg))

    def block(found: re.Match[str]) -> str:
        name, x, _, width, _, row = found.groups()
        y = float(row) * LINE + 1.5
        size = f'x="{x}" y="{y:g}" width="{width}" height="{LINE / 2:g}"'
        return f'<rect fill="{colours[name]}" {size} shape-rendering="crispEdges"/>'

    return _UPPER_HALVES.sub(block, svg)


def _indented(svg: str) -> str:
    """`svg` with text that starts where its first letter is: not every viewer shows spaces before it."""

    def moved(found: re.Match[str]) -> str:
        name, x, y, width, line, _, spaces = found.groups()
        by = spaces.count(";") * CHARACTER
        at = f'x="{float(x) + by:g}" y="{y}" textLength="{float(width) - by:g}"'
        return f'<text class="{name}" {at} clip-path="url(#{line})">'

    return _INDENTED.sub(moved, svg)


def _without_unused_classes(svg: str) -> str:
    return _CLASS.sub(lambda found: found[0] if f'class="{found[1]}"' in svg else "", svg)


if __name__ == "__main__":
    main()
