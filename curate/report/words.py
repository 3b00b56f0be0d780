r"""Numbers in words, and texts of others made fit to be shown: bounded, on one line, and nothing in them acts.

What `curate.console.untrusted_text` writes out is written out here too: control characters, marks that change the
direction of writing, halves of surrogate pairs. So are the code points that are no characters (U+FFFE and its kin),
which XML does not take and which end the process that draws the charts. Markup needs nothing: templates escape it.
"""

from __future__ import annotations

import re

from curate.console.untrusted_text import harmless, one_line

SHORT = 40
"""Characters of a label in a chart or a table's first column."""
LINE = 240
"""Characters of a key, a caption, a link or a reason."""
TEXT = 700
"""Characters of a rationale."""
LONG = 40_000
"""Characters of a policy."""

_NO_CHARACTERS = re.compile(
    "[\ufdd0-\ufdef"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(17))
    + "]"
)


def line(text: object, most: int = LINE) -> str:
    """`text` on one line of at most `most` characters."""
    known = str(text)
    return _cut(_written_out(one_line(known[: 8 * most])), most, whole=len(known) <= 8 * most)


def several_lines(text: object, most: int = LONG) -> str:
    """`text` with its line breaks, of at most `most` characters."""
    known = str(text)
    return _cut(_written_out(harmless(known[:most])), most, whole=len(known) <= most)


def count(number: float) -> str:
    """A number of things: 12,345."""
    return f"{round(number):,}"


def share(part: float, whole: float) -> str:
    """A part of a whole in percent, with more digits where it is small: 35.3 %, 0.08 %."""
    return percent(part / whole) if whole else "none"


def percent(fraction: float) -> str:
    """A fraction between 0 and 1 in percent, with two digits that say something."""
    hundred = 100 * fraction
    if hundred in (0, 100):
        return f"{hundred:.0f} %"
    digits = 1 if 1 <= hundred <= 99 else 2
    if hundred < 0.01:
        return "under 0.01 %"
    return f"{min(hundred, 99.99):.{digits}f} %"


def plain_percent(fraction: float) -> str:
    """A fraction that somebody chose, without digits that say nothing: 5 %, 0.05 %."""
    return f"{100 * fraction:g} %"


def unique(labels: list[str]) -> list[str]:
    """`labels` with a number behind those that were there before, since a chart takes equal ones for one."""
    seen: dict[str, int] = {}
    named = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        named.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return named


def _written_out(text: str) -> str:
    return _NO_CHARACTERS.sub(lambda found: ascii(found[0])[1:-1], text)


def _cut(text: str, most: int, *, whole: bool) -> str:
    return text if len(text) <= most and whole else f"{text[: most - 1]}…"
