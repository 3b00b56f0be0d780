r"""Text of others as a terminal may have it: data must not move its cursor, colour it, or turn letters around.

Captions, keys, file names and rationales come from data that nobody has looked at. What would act is shown as an escape
instead: control characters (all but line feed and tab), marks that change the direction of writing, characters without
a shape that hide others, and halves of surrogate pairs, which cannot be written at all.
"""

from __future__ import annotations

import re

_ACTING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but line feed and tab, DEL, C1
    "\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # directions, invisible ones
    "\U000e0000-\U000e0fff"  # tags
    "\ud800-\udfff"
    "]"
)


def harmless(text: str) -> str:
    r"""`text` with what would act written out, e.g. an escape character as \x1b."""
    return _ACTING.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """The same on one line, whatever breaks lines in it."""
    return harmless(" ".join(text.split()))
