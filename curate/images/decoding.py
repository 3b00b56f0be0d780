"""Bytes to an upright 8-bit RGB picture, or the reason why not.

Plugins of Pillow are opened one by one by the file's magic bytes rather than through `Image.open`, so that only the
formats we read are ever tried and our limit on pixels stands in for Pillow's without touching its global. Pillow
keeps a ceiling of its own (2 x `Image.MAX_IMAGE_PIXELS`, 178 megapixels) inside its GIF, TIFF and WebP plugins; a
picture above it is refused as `too_many_pixels` even where `max_pixels` is higher.

Colour profiles are not applied: safeguards are trained on pictures opened without them.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageFile
from PIL.Image import Transpose
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from curate.core.types import Failure, Status
from curate.images.formats import FORMATS, name_of, sniff_format
from curate.images.frames import FIRST, Frames, chosen
from curate.images.jpeg_reduction import Needed
from curate.images.jpeg_views import further_views
from curate.images.jxl_header import read_header

_PNG_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})

# What Pillow's plugins raise on broken files while they open and load. The first five came out of half a million
# mutated files of all six formats (tests/images/test_decoding.py keeps looking), the others were read in the plugins'
# code. This is the one place where a wide tuple is right: each of them means that these bytes are no picture.
_BROKEN = (
    OSError,  # truncated data, a decoder's error code
    SyntaxError,  # "not identified by this plugin", broken PNG chunks
    ValueError,  # impossible dimensions, a tile outside the image, oversized text chunks, EXIF that is no hex
    TypeError,  # a TIFF tag of a type that the plugin did not expect
    AssertionError,  # Pillow's own assumptions about a file
    AttributeError,  # an absent TIFF tag used as a value
    LookupError,  # index out of a short buffer, unknown tag or mode
    ArithmeticError,  # zero denominators, numbers beyond a C integer
    EOFError,  # no first frame
    MemoryError,  # sizes that no allocator grants
    struct.error,  # headers cut off
    RuntimeError,  # libjxl's word for broken data
    zlib.error,  # compressed PNG chunks
)

_STEPS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
"""16 bits to the nearest of 8."""

_WHITE_POINTS = {"i": (255.0, 65535.0), "f": (1.0, 255.0, 65535.0)}

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

_TURNED = frozenset({5, 6, 7, 8})
"""Orientations that exchange width and height."""


class ImageRefused(Exception):
    """These bytes are not judged; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure

    def __reduce__(self) -> tuple[type[ImageRefused], tuple[Failure]]:
        return ImageRefused, (self.failure,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame or page: an upright RGB image without metadata, and its number in the file, from 0."""

    number: int
    image: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A picture; width and height in pixels, of the first frame of the original after orientation.

    Attributes:
        frames: those that were asked for, in their order.
        frame_count: how many frames or pages the file holds.
    """

    frames: tuple[Frame, ...]
    width: int
    height: int
    frame_count: int = 1

    @property
    def image(self) -> Image.Image:
        """The first of the frames."""
        return self.frames[0].image


def sha256_of(image: bytes) -> str:
    """Hex SHA-256 of the original bytes."""
    return hashlib.sha256(image).hexdigest()


def decode(
    image: bytes, *, max_bytes: int, max_pixels: int, frames: Frames = FIRST, needed: Needed | None = None
) -> Decoded:
    """Decode a picture fully: EXIF orientation applied, alpha over white, 8-bit RGB.

    Args:
        image: the original bytes, of a format that is read.
        max_bytes: more bytes than this are refused unread.
        max_pixels: more pixels than this, as the header declares them, are refused before decoding; for each frame.
        frames: which are wanted, of a file that holds several.
        needed: a JPEG may be decoded smaller, as long as it keeps this; None decodes all pixels.

    Raises:
        ImageRefused: with status undecodable, too_many_bytes, unsupported_format or too_many_pixels.
    """
    if not image:
        raise _refusal(Status.UNDECODABLE, "empty file")
    if len(image) > max_bytes:
        raise _refusal(Status.TOO_MANY_BYTES, f"{len(image)} bytes, limit {max_bytes}")
    extension = sniff_format(image)
    plugin = _plugin(image, extension)
    if extension == "jxl":
        _check_jxl(image, max_pixels)
    picture, (width, height) = _load(plugin, image, max_pixels, needed)
    orientation = _orientation(picture)
    first = _rgb(picture, orientation)
    views = further_views(picture, image) if isinstance(picture, JpegImageFile) else []
    count = len(views) + 1 if views else _frame_count(picture)
    numbers = chosen(frames, count, width * height)
    if views:
        found = {n: _view(image[views[n - 1] :], max_pixels) for n in numbers if n}
    else:
        found = {n: _rgb(_at(picture, n, count, max_pixels), orientation) for n in numbers if n}
    if orientation in _TURNED:
        width, height = height, width
    shown = ((n, found.get(n) if n else first) for n in numbers)
    taken = tuple(Frame(number=n, image=shown_image) for n, shown_image in shown if shown_image is not None)
    return Decoded(frames=taken or (Frame(number=0, image=first),), width=width, height=height, frame_count=count)


def _plugin(image: bytes, extension: str | None) -> type[ImageFile.ImageFile]:
    if extension is None:
        known = name_of(image) or f"no picture: starts with {image[:12]!r}"
        raise _refusal(Status.UNSUPPORTED_FORMAT, f"{known}; read are {', '.join(f.name for f in FORMATS.values())}")
    form = FORMATS[extension]
    try:
        return form.load()
    except ImportError as error:
        raise _refusal(
            Status.UNSUPPORTED_FORMAT, f"{form.name}, which takes {form.package} (extra `images`)"
        ) from error


def _check_jxl(image: bytes, max_pixels: int) -> None:
    """Its library decodes all there is when it opens a file, and shows no frame but the first."""
    try:
        header = read_header(image)
    except ValueError as error:
        raise _refusal(Status.UNDECODABLE, f"JPEG XL: {error}") from error
    _check_size(header.width, header.height, max_pixels)
    if header.animated:
        raise _refusal(Status.UNSUPPORTED_FORMAT, "JPEG XL with several frames, of which only the first can be decoded")


def _refusal(status: Status, detail: str) -> ImageRefused:
    return ImageRefused(Failure(status=status, detail=" ".join(detail.split())[:300]))


def _load(
    plugin: type[ImageFile.ImageFile], data: bytes, max_pixels: int, needed: Needed | None
) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    """The decoded picture, and its size without reduction."""
    # A library that sets this would have us judge grey bars. It is set and not restored: False is Pillow's default, and
    # restoring would race with other threads.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        return _opened(plugin, data, max_pixels, needed)
    except Image.DecompressionBombError as error:
        raise _refusal(Status.TOO_MANY_PIXELS, str(error)) from error
    except _BROKEN as error:
        if plugin is PngImageFile and (pixels := _without_text(data)) != data:
            return _load(plugin, pixels, max_pixels, needed)
        raise _refusal(Status.UNDECODABLE, f"{type(error).__name__}: {error}") from error


def _opened(
    plugin: type[ImageFile.ImageFile], data: bytes, max_pixels: int, needed: Needed | None
) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    """As `_load`; raises what the plugins do."""
    picture = plugin(io.BytesIO(data))
    _check_pixels(picture, max_pixels)
    _scale_transparent_colour(picture)
    full = _reduce(picture, needed)
    picture.load()
    return picture, full or picture.size


def _without_text(png: bytes) -> bytes:
    """A PNG without its text and its colour profile, which are no pixels, and of which Pillow takes a megabyte each."""
    kept, at = [png[:8]], 8
    while at + 8 <= len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4])
        if png[at + 4 : at + 8] not in _PNG_TEXT:
            kept.append(png[at:end])
        at = end
    return b"".join([*kept, png[at:]])


def _reduce(picture: ImageFile.ImageFile, needed: Needed | None) -> tuple[int, int] | None:
    """Have a JPEG decoded no larger than needed; its full size where that is smaller, else None."""
    width, height = picture.size
    by = needed.reduction(width, height) if needed and isinstance(picture, JpegImageFile) else 1
    if by == 1:
        return None
    picture.draft(None, (width // by, height // by))
    return width, height


def _check_pixels(picture: ImageFile.ImageFile, max_pixels: int) -> None:
    width, height = picture.size
    if isinstance(picture, TiffImageFile):
        # A tile may be declared larger than the image it belongs to, and is allocated as a whole.
        width = max(width, _tag(picture, ExifTags.Base.TileWidth))
        height = max(height, _tag(picture, ExifTags.Base.TileLength))
    _check_size(width, height, max_pixels)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise _refusal(Status.TOO_MANY_PIXELS, f"{width} x {height} pixels, limit {max_pixels}")


def _scale_transparent_colour(picture: ImageFile.ImageFile) -> None:
    """Bring a PNG's transparent colour to the 8 bits that Pillow scales the samples to."""
    key = picture.info.get("transparency")
    layout = picture.tile[0].args if picture.tile else None
    if layout in ("L;2", "L;4") and isinstance(key, int):
        picture.info["transparency"] = key * (85 if layout == "L;2" else 17)
    elif layout == "RGB;16B" and isinstance(key, tuple):
        picture.info["transparency"] = tuple(value >> 8 for value in key)


def _tag(picture: TiffImageFile, tag: int) -> int:
    value = picture.tag_v2.get(tag, 0)
    return value if isinstance(value, int) else 0


def _orientation(picture: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 (upright) where the EXIF block is missing or broken.

    TIFFs and HEICs are turned already; in a JPEG XL the code stream decides, and EXIF does not.
    """
    if isinstance(picture, TiffImageFile) or picture.format in ("HEIF", "JXL"):
        return 1
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _frame_count(picture: ImageFile.ImageFile) -> int:
    """Frames or pages in the file. A damaged one whose frames cannot be counted is none that could be judged."""
    try:
        return int(getattr(picture, "n_frames", 1))
    except _BROKEN as error:
        raise _refusal(Status.UNDECODABLE, f"its frames cannot be counted: {type(error).__name__}: {error}") from error


def _at(picture: ImageFile.ImageFile, number: int, count: int, max_pixels: int) -> ImageFile.ImageFile:
    """The picture moved to a frame that is not the first, and decoded; to be asked for in ascending order."""
    try:
        picture.seek(number)
        _check_pixels(picture, max_pixels)
        picture.load()
    except Image.DecompressionBombError as error:
        raise _refusal(Status.TOO_MANY_PIXELS, str(error)) from error
    except _BROKEN as error:
        what = f"frame {number} of {count}: {type(error).__name__}: {error}"
        raise _refusal(Status.UNDECODABLE, what) from error
    return picture


def _view(data: bytes, max_pixels: int) -> Image.Image | None:
    """A further view in a JPEG, as it says that it stands; None where it is damaged, so that it is not judged."""
    try:
        picture = _opened(JpegImageFile, data, max_pixels, None)[0]
    except (ImageRefused, Image.DecompressionBombError, *_BROKEN):
        return None
    return _rgb(picture, _orientation(picture))


def _rgb(picture: ImageFile.ImageFile, orientation: int) -> Image.Image:
    rgb = _upright(_to_rgb(picture), orientation)
    rgb.info.clear()
    return rgb


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _to_rgb(picture: Image.Image) -> Image.Image:
    if isinstance(picture, JpegImageFile) and picture.mode == "RGB":
        return picture._new(picture.im)  # the same pixels: nobody moves a JPEG to another frame, so none is copied
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _to_8_bit(picture)
    elif picture.mode == "La":  # premultiplied grey, which Pillow turns into "LA" only
        picture = picture.convert("LA")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    with_alpha = picture.convert("RGBA")
    white = Image.new("RGB", picture.size, "white")
    white.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return white


def _to_8_bit(picture: Image.Image) -> Image.Image:
    """Grey image "L" (or "LA", where one value stands for transparent) of one with 16 or 32 bits a pixel."""
    values = np.asarray(picture)
    grey = Image.fromarray(_STEPS[values] if picture.mode.startswith("I;16") else _stretched(values))
    key = picture.info.get("transparency")
    if not isinstance(key, int):
        return grey
    return Image.merge("LA", (grey, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))))


def _stretched(values: np.ndarray) -> np.ndarray:
    """8-bit version of 32-bit integers or floats, which carry no white point in the file.

    White is the smallest of what writers use (1 for floats, 255, 65535) that holds all values; where none does, the
    values' own extremes become black and white. Infinities count as the extremes, NaN as black.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    usual = [white for white in _WHITE_POINTS[values.dtype.kind] if low >= 0 and high <= white]
    black, white = (0.0, usual[0]) if usual else (low, max(high, low + 1.0))
    numbers = np.nan_to_num(values.astype(np.float64), nan=black, posinf=white, neginf=black)
    return (((numbers - black) / (white - black)).clip(0, 1) * 255).round().astype(np.uint8)
