"""Bytes to upright 8-bit RGB, or the reason why not.

Nouns: `Decoded`, `ImageRefused`.
Law: a picture that is truncated, too large or of no known format is refused with a status; it never reaches a model.

| module | does |
|---|---|
| formats | told by the first bytes, and who decodes each |
| jxl_header | size of a JPEG XL, before all of it is decoded |
| decoding | formats, limits, orientation, colours; here a truncated JPEG is refused |
| frames | which frames of an animation are judged |
| encoding | what a program has at hand -> encoded bytes |
| jpeg_views | further pictures behind a JPEG's first |
| jpeg_reduction | how far a JPEG may be reduced while it is decoded |
"""

__all__ = (
    "decoding",
    "encoding",
    "formats",
    "frames",
    "jpeg_reduction",
)
