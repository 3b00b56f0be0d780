"""Headers of a tar are what `tarfile` says they are, those that are read quickly too."""

from __future__ import annotations

import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sources.tar_headers import _PLAIN_FILE, StrictHeader

CODEC = ("utf-8", "surrogateescape")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60) | st.sampled_from(
    ["000001.jpg", "a/b.c/0.left.png", "folder/", "x" * 100, "y/" * 60 + "z.jpg"]
)
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.GNUTYPE_SPARSE)


@st.composite
def blocks(draw) -> bytes:
    """What stands in place of a header: one that a writer made, or one of these with bytes of it changed."""
    header = tarfile.TarInfo(draw(NAMES))
    header.size = draw(st.integers(0, 2**34))
    header.type = draw(st.sampled_from(TYPES))
    header.uid = draw(st.integers(0, 2**24))
    header.mtime = draw(st.integers(-5, 2**33))
    header.uname = draw(st.sampled_from(["", "root", "bigdata"]))
    form = draw(st.sampled_from(FORMATS))
    try:
        written = header.tobuf(form, *CODEC)
    except ValueError:  # more than that format can say
        written = tarfile.TarInfo("x").tobuf(form, *CODEC)
    block = bytearray(written[-512:])
    for place in draw(st.lists(st.integers(0, 511), max_size=3)):
        block[place] = draw(st.sampled_from(b"\0 0179/\x80\xff") | st.integers(0, 255))
    if draw(st.booleans()):
        block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[draw(st.integers(0, 1))]
    return bytes(block[: draw(st.sampled_from([512, 512, 512, 100, 0]))])


def read(kind: type[tarfile.TarInfo], block: bytes) -> tuple[object, ...]:
    """What matters of a header, or why it is none."""
    try:
        header = kind.frombuf(block, *CODEC)
    except (tarfile.TarError, ValueError) as error:
        return type(error), str(error)
    linked = header.linkname if header.islnk() or header.issym() else ""
    return header.name, header.size, header.type, linked, header.issparse()


@settings(max_examples=150)
@given(blocks())
def test_every_block_is_what_tarfile_takes_it_for(block: bytes) -> None:
    assert read(StrictHeader, block) == read(tarfile.TarInfo, block)


def test_plain_files_of_every_format_are_read_quickly() -> None:
    for form in FORMATS:
        header = tarfile.TarInfo("000001.jpg")
        header.size = 12345
        assert _PLAIN_FILE.fullmatch(header.tobuf(form, *CODEC))
