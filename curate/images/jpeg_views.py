"""Further pictures behind a JPEG's first: second views, previews, depth and gain maps (CIPA DC-007, MPF).

Cameras and phones put them there, and few viewers show them. What hosts of pictures cut off, while the index of it
stayed, is none.
"""

from __future__ import annotations

from PIL.JpegImagePlugin import JpegImageFile

_ENTRIES = 0xB002
_START = b"\xff\xd8\xff"


def further_views(picture: JpegImageFile, data: bytes) -> list[int]:
    """Where in `data`, the whole file, further pictures begin; in the order of its index."""
    try:
        index = picture._getmp()
        entries = index[_ENTRIES][1:] if index else []
        base = int(picture.info["mpoffset"])
        offsets = [int(entry["DataOffset"]) + base for entry in entries]
    except Exception:  # noqa: BLE001 - an index that cannot be read leads nowhere, whatever the parser thinks of it
        return []
    return [offset for offset in dict.fromkeys(offsets) if offset > 0 and data[offset:].startswith(_START)]
