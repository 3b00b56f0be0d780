"""Decoding JPEGs smaller: how far, what stays the same, and that the labels do."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.cli.hydra_config import compose_settings
from curate.core.types import Status
from curate.images.decoding import ImageRefused, decode
from curate.images.jpeg_reduction import REDUCTIONS, Needed, needed_by
from curate.judges.questions import questions_of
from curate.runs.fingerprint import fingerprint
from curate.settings.engine import EngineSettings

LIMITS = {"max_bytes": 2**24, "max_pixels": 10**8}
CORNERS = np.zeros((160, 240, 3), dtype=np.uint8)  # red, green / blue, white quarters: every orientation differs
CORNERS[:80, :120], CORNERS[:80, 120:], CORNERS[80:, :120], CORNERS[80:, 120:] = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    255,
)
PICTURE = Image.fromarray(CORNERS)
SMALL = Needed(side=40)


def encoded(picture, kind="JPEG", orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    picture.save(out, kind, exif=exif, **options)
    return out.getvalue()


SIDES = st.integers(1, 20_000)
NEEDED = st.builds(Needed, side=st.integers(1, 5000), area=st.integers(1, 10**7), same_ratio=st.booleans())


@given(NEEDED, SIDES, SIDES)
def test_a_reduction_leaves_what_is_needed_and_no_larger_one_would(needed, width, height):
    def enough(by):
        exact = not needed.same_ratio or width % by == height % by == 0
        return exact and min(width, height) // by >= needed.side and (width // by) * (height // by) >= needed.area

    by = needed.reduction(width, height)
    assert by == 1 or enough(by)
    assert not any(enough(other) for other in REDUCTIONS if other > by)


@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 40))
def test_a_decoded_jpeg_has_the_chosen_size(width, height, side):
    needed = Needed(side=side)
    decoded = decode(encoded(Image.new("RGB", (width, height))), **LIMITS, needed=needed)
    by = needed.reduction(width, height)
    assert decoded.image.size == (-(-width // by), -(-height // by))
    assert (decoded.width, decoded.height) == (width, height)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("progressive", [False, True])
def test_a_reduced_jpeg_is_upright_and_keeps_its_size(orientation, progressive):
    data = encoded(PICTURE, orientation=orientation, progressive=progressive, quality=95)
    whole, reduced = decode(data, **LIMITS), decode(data, **LIMITS, needed=SMALL)
    assert max(reduced.image.size) == 60
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == whole.image.size
    expected = np.asarray(whole.image.resize(reduced.image.size, Image.Resampling.BOX), dtype=int)
    assert np.abs(np.asarray(reduced.image) - expected).mean() < 4


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_are_reduced_too(mode):
    data = encoded(PICTURE.convert(mode), quality=95)
    whole, reduced = decode(data, **LIMITS), decode(data, **LIMITS, needed=SMALL)
    assert reduced.image.size == (60, 40)
    expected = np.asarray(whole.image.resize((60, 40), Image.Resampling.BOX), dtype=int)
    assert np.abs(np.asarray(reduced.image) - expected).mean() < 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_other_formats_are_decoded_whole(kind):
    out = io.BytesIO()
    PICTURE.save(out, kind)
    whole, asked = decode(out.getvalue(), **LIMITS), decode(out.getvalue(), **LIMITS, needed=Needed())
    assert asked == replace(whole, frames=asked.frames)
    assert np.array_equal(asked.image, whole.image)


def test_a_small_jpeg_is_decoded_whole():
    data = encoded(PICTURE)
    assert np.array_equal(decode(data, **LIMITS, needed=Needed(side=81)).image, decode(data, **LIMITS).image)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_as_before(progressive):
    data = encoded(Image.effect_noise((240, 160), 60), progressive=progressive)
    for length in range(3, len(data) - 2, 211):
        with pytest.raises(ImageRefused) as whole:
            decode(data[:length], **LIMITS)
        with pytest.raises(ImageRefused) as reduced:
            decode(data[:length], **LIMITS, needed=SMALL)
        assert whole.value.failure.status == reduced.value.failure.status == Status.UNDECODABLE


def test_pixels_are_limited_before_reduction():
    with pytest.raises(ImageRefused) as refused:
        decode(encoded(PICTURE), max_bytes=2**24, max_pixels=240 * 160 - 1, needed=SMALL)
    assert refused.value.failure.status == Status.TOO_MANY_PIXELS


class Qwen2VLImageProcessorFast:
    """Has the name and the size of `transformers`' own, as far as they are looked at."""

    def __init__(self):
        self.size = {"shortest_edge": 3136, "longest_edge": 1000}


def test_what_image_processors_need():
    assert needed_by(SimpleNamespace(image_grid_pinpoints=[[112, 112]])) == Needed(side=224)
    grids = [[384, 768], [384, 1152]]
    assert needed_by(SimpleNamespace(image_grid_pinpoints=grids)) == Needed(side=2304, same_ratio=True)
    assert needed_by(Qwen2VLImageProcessorFast()) == Needed(area=4000)
    assert needed_by(SimpleNamespace(size={"shortest_edge": 336})) is None


@pytest.mark.slow
def test_the_setting_is_part_of_the_fingerprint():
    def digest(*overrides):
        made = compose_settings(["+dataset=laion_subset", *overrides])
        return fingerprint(questions_of(made)[0], made.model, {}, EngineSettings(), made.dataset).digest

    usual = compose_settings(["+dataset=laion_subset"]).dataset.reduced_decoding
    assert digest(f"dataset.reduced_decoding={not usual}") != digest(f"dataset.reduced_decoding={usual}") == digest()
