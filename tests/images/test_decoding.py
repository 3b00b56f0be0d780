"""Decoding: every mode, format and orientation against pixels worked out here; nothing but a refusal ever escapes."""

import io
import pickle
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile
from PIL.PngImagePlugin import PngInfo

from curate.core.types import Status
from curate.images.decoding import ImageRefused, decode
from curate.images.formats import looks_like_a_picture, sniff_format

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)
RGB[:20] = np.linspace(0, 255, 56, dtype=np.uint8)[None, :, None]
PICTURE = Image.fromarray(RGB)
CORNERS = np.zeros((16, 24, 3), dtype=np.uint8)  # red, green / blue, white quarters: every orientation differs
CORNERS[:8, :12], CORNERS[:8, 12:], CORNERS[8:, :12], CORNERS[8:, 12:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(data: bytes, max_pixels: int = 10**6) -> np.ndarray:
    decoded = decode(data, max_bytes=2**24, max_pixels=max_pixels)
    assert decoded.image.mode == "RGB"
    assert (decoded.width, decoded.height) == decoded.image.size
    return np.asarray(decoded.image)


def refusal(data: bytes, max_bytes: int = 2**24, max_pixels: int = 10**6):
    with pytest.raises(ImageRefused) as caught:
        decode(data, max_bytes=max_bytes, max_pixels=max_pixels)
    return caught.value.failure


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG put together by hand; `rows` without filter bytes."""
    stride = len(rows) // height if height and rows else 0
    raw = b"".join(b"\0" + rows[i * stride : (i + 1) * stride] for i in range(height if stride else 0))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255.0
    return rgb * share + 255.0 * (1 - share)


# --- modes ------------------------------------------------------------------------------------------------------------

ALPHA = np.broadcast_to(np.linspace(0, 255, 40, dtype=np.uint8)[:, None], (40, 56))
RGBA = Image.fromarray(np.dstack([RGB, ALPHA]))
GREY = PICTURE.convert("L")
GREY3 = np.repeat(np.asarray(GREY)[..., None], 3, axis=2)
DEEP = RNG.integers(0, 65536, (40, 56), dtype=np.uint16)
SMALL = RNG.integers(0, 4, (40, 56), dtype=np.uint8)
PALETTE = np.array([(255, 0, 0), (0, 255, 0), (10, 20, 30), (200, 100, 50)], dtype=np.uint8)


def palette_image() -> Image.Image:
    image = Image.fromarray(SMALL, "L").convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(PALETTE.tobytes())
    return image


@pytest.mark.parametrize(("kind", "options"), [
    ("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}),
    *(("TIFF", {"compression": c}) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")),
])  # fmt: skip
def test_lossless_formats_give_back_every_pixel(kind, options):
    assert np.array_equal(pixels(encoded(PICTURE, kind, **options)), RGB)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 100}])
def test_jpeg_is_near(options):
    smooth = np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], 48, axis=0) * np.ones(3, dtype=np.uint8)
    assert np.abs(pixels(encoded(Image.fromarray(smooth), "JPEG", **options)).astype(int) - smooth).max() <= 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_and_bilevel(kind):
    assert np.array_equal(pixels(encoded(GREY, kind)), GREY3)
    bilevel = GREY.point(lambda v: 255 * (v > 99)).convert("1")
    assert np.array_equal(pixels(encoded(bilevel, kind)), np.where(GREY3 > 99, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_palette(kind):
    assert np.array_equal(pixels(encoded(palette_image(), kind)), PALETTE[SMALL])


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_alpha_lies_over_white(kind, options):
    assert np.abs(pixels(encoded(RGBA, kind, **options)) - over_white(RGB, ALPHA)).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_with_alpha_lies_over_white(kind):
    image = Image.merge("LA", (GREY, Image.fromarray(ALPHA)))
    assert np.abs(pixels(encoded(image, kind)) - over_white(GREY3, ALPHA)).max() <= 1


def test_premultiplied_alpha_lies_over_white():
    """TIFF's ExtraSamples = 1: a sample is colour x alpha, so over white it is sample + 255 - alpha."""
    grey, alpha = np.array([[0, 60, 128, 255]], np.uint8), np.array([[0, 128, 128, 255]], np.uint8)
    data = bytearray(encoded(Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha))), "TIFF"))
    entry = data.index(struct.pack("<HHI", 338, 3, 1))
    data[entry + 8] = 1
    expected = np.repeat((grey.astype(int) + 255 - alpha)[..., None], 3, axis=2)
    assert np.abs(pixels(bytes(data)) - expected).max() <= 1


def test_palette_with_transparency():
    data = encoded(palette_image(), "PNG", transparency=bytes([0, 128, 255]))
    alpha = np.array([0, 128, 255, 255], np.uint8)[SMALL]
    assert np.abs(pixels(data) - over_white(PALETTE[SMALL], alpha)).max() <= 1
    gif = pixels(encoded(palette_image(), "GIF", transparency=2))
    assert np.array_equal(gif, np.where(SMALL[..., None] == 2, 255, PALETTE[SMALL]))


@pytest.mark.parametrize(("depth", "colour", "rows", "key", "expected"), [
    (1, 0, b"\x40", (1,), [(0, 0, 0), (255, 255, 255)]),
    (1, 0, b"\x40", (0,), [(255, 255, 255), (255, 255, 255)]),
    (2, 0, b"\x60", (1,), [(255, 255, 255), (170, 170, 170)]),
    (4, 0, b"\x3c", (12,), [(51, 51, 51), (255, 255, 255)]),
    (8, 0, b"\x03\x0c", (3,), [(255, 255, 255), (12, 12, 12)]),
    (16, 0, struct.pack(">2H", 30000, 500), (500,), [(117, 117, 117), (255, 255, 255)]),
    (8, 2, bytes([1, 2, 3, 4, 5, 6]), (1, 2, 3), [(255, 255, 255), (4, 5, 6)]),
    (16, 2, struct.pack(">6H", 65535, 0, 0, 1000, 2000, 3000), (65535, 0, 0), [(255, 255, 255), (3, 7, 11)]),
])  # fmt: skip
def test_transparent_colours_of_every_depth(depth, colour, rows, key, expected):
    data = png(2, 1, depth, colour, rows, chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))
    assert [tuple(p) for p in pixels(data)[0].tolist()] == expected


@pytest.mark.parametrize("data", [
    png(56, 40, 16, 0, DEEP.astype(">u2").tobytes()),
    encoded(Image.fromarray(DEEP), "PNG"),
    encoded(Image.fromarray(DEEP), "TIFF"),
    encoded(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"),
    encoded(Image.frombytes("I;16B", (56, 40), DEEP.astype(">u2").tobytes()), "TIFF"),
], ids=["png", "png-pillow", "tiff", "tiff-lzw", "tiff-big-endian"])  # fmt: skip
def test_sixteen_bits_are_scaled_not_clipped(data):
    expected = np.rint(DEEP / 65535 * 255)
    assert np.array_equal(pixels(data), np.repeat(expected[..., None], 3, axis=2))


def test_sixteen_bit_colour():
    deep = RNG.integers(0, 65536, (5, 4, 3), dtype=np.uint16)
    data = png(4, 5, 16, 2, deep.astype(">u2").tobytes())
    assert np.abs(pixels(data) - deep / 257).max() <= 1


@pytest.mark.parametrize(("values", "expected"), [
    (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
    (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
    (np.array([[-1000, 0, 1000]], np.int32), [0, 128, 255]),
    (np.array([[7, 7, 7]], np.int32), [7, 7, 7]),
    (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
    (np.array([[0.0, 51.0, 255.0]], np.float32), [0, 51, 255]),
    (np.array([[-2.0, np.nan, 2.0, np.inf, -np.inf]], np.float32), [0, 0, 255, 255, 0]),
    (np.array([[np.nan, np.nan]], np.float32), [0, 0]),
])  # fmt: skip
def test_integers_and_floats_are_scaled(values, expected):
    shades = pixels(encoded(Image.fromarray(values), "TIFF"))
    assert shades[0, :, 0].tolist() == expected
    assert np.array_equal(shades[..., 0], shades[..., 2])


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_has_the_right_polarity(kind):
    """Adobe writes CMYK inverted into JPEGs, and a TIFF holds it straight: yellow must be yellow in both."""
    image = Image.new("CMYK", (16, 16), (0, 0, 255, 0))
    data = encoded(image, kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert np.abs(pixels(data)[8, 8].astype(int) - (255, 255, 0)).max() <= 4


def test_ycbcr_and_lab():
    assert np.abs(pixels(encoded(PICTURE.convert("YCbCr"), "TIFF")).astype(int) - RGB).max() <= 3
    red = Image.new("RGB", (4, 4), (200, 30, 40))
    lab = ImageCms.applyTransform(
        red, ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    )
    assert np.abs(pixels(encoded(lab, "TIFF"))[0, 0].astype(int) - (200, 30, 40)).max() <= 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3000, 1)])
def test_the_smallest_sizes(kind, size):
    assert pixels(encoded(Image.new("RGB", size, "white"), kind)).tolist() == np.full((*size[::-1], 3), 255).tolist()


# --- orientation ------------------------------------------------------------------------------------------------------

UPRIGHT = {  # EXIF: where the stored row 0 and column 0 belong, so how the stored array becomes the seen one
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def exif(orientation: object) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(("kind", "options"), [
    ("JPEG", {"quality": 100, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True}),
    ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
])  # fmt: skip
def test_orientation_is_applied_once(kind, options, orientation):
    data = encoded(Image.fromarray(CORNERS), kind, exif=exif(orientation), **options)
    seen = pixels(data).astype(int)
    expected = UPRIGHT[orientation](CORNERS)
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).max() <= 3
    assert not decode(data, max_bytes=2**20, max_pixels=10**6).image.info


@pytest.mark.parametrize("block", [
    b"", b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40,
    exif(0).tobytes(), exif(9).tobytes(), exif(6).tobytes()[:-9],
])  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_costs_the_orientation_not_the_picture(kind, block):
    options = {} if kind == "JPEG" else {"lossless": True}
    data = encoded(Image.fromarray(CORNERS), kind, exif=block, **options)
    assert pixels(data).shape == CORNERS.shape


def test_exif_in_a_text_chunk_that_is_no_hex():
    info = PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n 4\nzz")
    assert pixels(encoded(Image.fromarray(CORNERS), "PNG", pnginfo=info)).shape == CORNERS.shape


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {}), ("TIFF", {})])
def test_what_lies_behind_the_first_frame_is_told(kind, options):
    frames = [PICTURE, PICTURE.rotate(180)]
    several = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode(several, max_bytes=2**24, max_pixels=10**6).frame_count == 2
    assert decode(encoded(PICTURE, kind), max_bytes=2**24, max_pixels=10**6).frame_count == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        *((encoded(PICTURE, kind), True) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000")),
        (encoded(PICTURE, "AVIF"), True),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", True),
        (b"\xff\x0a\xfa\x1f", True),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", False),
        (b'{"caption": "BM and GIF89"}', False),
        (b"", False),
    ],
)
def test_pictures_are_told_by_their_beginning(data, expected):
    assert looks_like_a_picture(data) is expected


# --- text -------------------------------------------------------------------------------------------------------------

LARGE = zlib.compress(b"prompt " * 2**19)
"""Three and a half megabytes of text, as generators of pictures write it."""


@pytest.mark.parametrize(
    "large",
    [
        chunk(b"zTXt", b"parameters\0\0" + LARGE),
        chunk(b"iTXt", b"workflow\0\1\0\0\0" + LARGE),
        chunk(b"iCCP", b"profile\0\0" + LARGE),
    ],
    ids=["zTXt", "iTXt", "iCCP"],
)
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_large_text_and_profiles_cost_a_png_nothing(large, behind):
    plain = encoded(PICTURE, "PNG")
    at = plain.index(b"IEND" if behind else b"IDAT") - 4
    assert np.array_equal(pixels(plain[:at] + large + plain[at:]), RGB)


def test_a_png_that_is_cut_is_refused_whatever_text_it_has():
    plain = encoded(PICTURE, "PNG")
    at = plain.index(b"IDAT") - 4
    whole = plain[:at] + chunk(b"zTXt", b"parameters\0\0" + LARGE) + plain[at:]
    assert refusal(whole[: len(whole) - 400]).status is Status.UNDECODABLE


# --- animations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixels(data).reshape(-1, 3).tolist() == [[255, 0, 0]] * 64


def test_damage_behind_the_first_frame_does_not_matter():
    frames = [Image.fromarray(RNG.integers(0, 256, (40, 40), dtype=np.uint8)) for _ in range(2)]
    one, two = encoded(frames[0], "GIF"), encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(pixels(two[:-600]), pixels(one))


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!DOCTYPE html>", b"\0\0\0\x18ftypmp42\0\0\0\0",
    b"\0", b"\xff", b"BM is how this text starts, and it goes on", b"RIFF\0\0\0\0WAVEfmt ", bytes(1000), b"%PDF-1.7",
])  # fmt: skip
def test_other_formats(data):
    failure = refusal(data)
    assert failure.status == Status.UNSUPPORTED_FORMAT
    assert "\n" not in failure.detail
    assert sniff_format(data) is None


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX", "JPEG2000"])
def test_formats_that_pillow_reads_and_we_do_not(kind):
    assert refusal(encoded(PICTURE, kind)).status == Status.UNSUPPORTED_FORMAT


def test_limits_are_exact():
    data = encoded(PICTURE, "PNG")
    assert pixels(data, max_pixels=40 * 56).shape == RGB.shape
    assert refusal(data, max_pixels=40 * 56 - 1).status == Status.TOO_MANY_PIXELS
    assert decode(data, max_bytes=len(data), max_pixels=10**6).width == 56
    assert refusal(data, max_bytes=len(data) - 1).status == Status.TOO_MANY_BYTES
    assert refusal(b"").detail == "empty file"
    assert refusal(b"").status == Status.UNDECODABLE


def _webp_header(width: int, height: int) -> bytes:
    body = (
        b"VP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _gif(screen: int, frame: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, frame, frame, 0) + b"\x02\x02\x4c\x01\0;"


def _tiff_with_tile(side: int) -> bytes:
    tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1),
            (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 200), (325, 4, 1, 64)]  # fmt: skip
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + ifd + bytes(200)


@pytest.mark.parametrize("data", [
    png(60_000, 60_000, 8, 2, b""),
    png(2**31 - 1, 2**31 - 1, 1, 0, b""),
    _webp_header(16_000, 16_000),
    _gif(65_535, 1),
    _gif(1, 65_535),
    _tiff_with_tile(60_000),
    encoded(PICTURE, "BMP").replace(struct.pack("<ii", 56, 40), struct.pack("<ii", 60_000, 60_000)),
    encoded(PICTURE, "JPEG").replace(struct.pack(">HH", 40, 56), struct.pack(">HH", 60_000, 60_000)),
], ids=["png", "png-2^31", "webp", "gif-screen", "gif-frame", "tiff-tile", "bmp", "jpeg"])  # fmt: skip
def test_a_header_alone_is_enough_to_refuse(data):
    assert refusal(data, max_pixels=100_000_000).status == Status.TOO_MANY_PIXELS


def test_our_limit_stands_in_for_pillows_and_leaves_it_alone(monkeypatch):
    """Pillow warns above its limit and fails above twice of it."""
    data = encoded(PICTURE, "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for limit in (40 * 56 - 1, 1000):
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
            assert pixels(data).shape == RGB.shape
            assert limit == Image.MAX_IMAGE_PIXELS
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


NOISE = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
WHOLE = {
    "jpeg": encoded(NOISE, "JPEG"),
    "jpeg-progressive": encoded(NOISE, "JPEG", progressive=True),
    "png": encoded(NOISE, "PNG"),
    "webp": encoded(NOISE, "WEBP"),
    "webp-lossless": encoded(NOISE, "WEBP", lossless=True),
    "gif": encoded(NOISE, "GIF"),
    "bmp": encoded(NOISE, "BMP"),
    "tiff": encoded(NOISE, "TIFF"),
    "tiff-lzw": encoded(NOISE, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_truncated_file_is_refused_wherever_it_ends(name, lenient, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    data = WHOLE[name]
    assert pixels(data).shape == (64, 64, 3)
    for percent in range(5, 100, 5):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
        assert refusal(data[: len(data) * percent // 100]).status == Status.UNDECODABLE, percent


def test_a_refusal_crosses_processes():
    error = pickle.loads(pickle.dumps(ImageRefused(refusal(b"text"))))
    assert error.failure == refusal(b"text")


# --- fuzz -------------------------------------------------------------------------------------------------------------

SEEDS = [
    *WHOLE.values(),
    encoded(PICTURE, "JPEG", exif=exif(6)),
    encoded(PICTURE.convert("CMYK"), "JPEG"),
    encoded(RGBA, "PNG", exif=exif(6)),
    encoded(palette_image(), "PNG", transparency=bytes([0, 128])),
    encoded(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(90)]),
    encoded(RGBA, "WEBP", exif=exif(6)),
    encoded(palette_image(), "GIF", save_all=True, append_images=[palette_image()], transparency=3, disposal=2),
    *(encoded(PICTURE.convert(mode), "TIFF") for mode in ("1", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB")),
    *(encoded(Image.fromarray(DEEP.astype(kind)), "TIFF") for kind in (np.uint16, np.int32, np.float32)),
    encoded(GREY.convert("1"), "TIFF", compression="group4"),
]


@st.composite
def mutants(draw):
    """A good file with a few bytes changed, mostly where its headers are, or cut, or with some bytes more or less."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    end = draw(st.sampled_from([40, 400, len(data)]))
    start = draw(st.sampled_from([0, max(0, len(data) - 400)]))
    for _ in range(draw(st.integers(1, 6))):
        place = min(draw(st.integers(start, start + end)), len(data) - 1)
        data[place] = draw(st.sampled_from([0, 1, 2, 4, 127, 128, 255]) | st.integers(0, 255))
    cut = draw(st.integers(0, len(data)) | st.none())
    if cut is not None:
        data[cut : cut + draw(st.integers(0, 20))] = draw(st.binary(max_size=20))
    return with_checksums(bytes(data))


def with_checksums(data: bytes) -> bytes:
    """Good checksums for a PNG's chunks, so that a mutation reaches the code behind them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, rest = data[:8], data[8:]
    while len(rest) >= 12 and len(rest) >= 12 + int.from_bytes(rest[:4], "big"):
        length = int.from_bytes(rest[:4], "big")
        out += chunk(rest[4:8], rest[8 : 8 + length])
        rest = rest[12 + length :]
    return out + rest


def decoded_or_refused(data: bytes) -> None:
    try:
        decoded = decode(data, max_bytes=2**20, max_pixels=10**6)
    except ImageRefused as refused:
        detail = refused.failure.detail
    else:
        assert decoded.image.mode == "RGB"
        assert decoded.width * decoded.height <= 10**6
        return
    assert "\n" not in detail
    assert " at 0x" not in detail  # an address would differ between runs


FUZZ = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@FUZZ
@given(mutants())
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_decoded_or_refused(data):
    decoded_or_refused(data)


@FUZZ
@given(st.sampled_from([s[:n] for s in SEEDS for n in (0, 4, 16)]), st.binary(max_size=200))
@pytest.mark.filterwarnings("ignore")
def test_noise_behind_a_good_start_is_decoded_or_refused(start, noise):
    decoded_or_refused(start + noise)


@pytest.mark.parametrize(("data", "extension"), [
    *((encoded(PICTURE, f), e) for f, e in zip(("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"),
                                               ("jpg", "png", "webp", "gif", "bmp", "tif"), strict=True)),
    (encoded(PICTURE, "TIFF", big_tiff=True), "tif"),
    (encoded(Image.frombytes("I;16B", (2, 1), bytes(4)), "TIFF"), "tif"),
])  # fmt: skip
def test_formats_are_told_by_their_first_bytes(data, extension):
    assert sniff_format(data) == extension
    assert pixels(data).size


# --- what is handed on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_picture_carries_nothing_of_its_file(kind):
    exif = Image.Exif()
    exif[0x010E] = "a description"
    image = decode(encoded(PICTURE, kind, exif=exif), max_bytes=2**24, max_pixels=10**6).image
    assert type(image) is Image.Image
    assert (image.info, dict(image.getexif())) == ({}, {})


def test_pixels_of_a_jpeg_are_not_copied(monkeypatch):
    monkeypatch.setattr(Image.Image, "copy", lambda _: pytest.fail("copied"))
    data = encoded(PICTURE, "JPEG")
    assert np.array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data))))
