"""Make docs/demo.svg, the picture of the README, of what a command prints: python scripts/picture.py < FILE."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parents[1] / "docs" / "demo.svg"


def main() -> None:
    """Render standard input as a terminal."""
    console = Console(record=True, width=112, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(Text("$ make demo\n", style="bold"))
    for line in sys.stdin.read().rstrip().splitlines():
        console.print(Text(line, style="yellow" if line.startswith("Mind:") else ""))
    svg = console.export_svg(title="curate")
    # The viewer's own monospaced font will do; a picture should fetch nothing.
    TARGET.write_text(re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
