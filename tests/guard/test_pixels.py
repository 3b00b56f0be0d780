"""What pipelines hand on, as pictures; what is no picture is refused and not judged as one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from curate.core.errors import InputError
from curate.guard.pixels import blanked, pictures_of, put

ARRAY = np.linspace(0, 1, 2 * 4 * 4 * 3).reshape(2, 4, 4, 3)


def test_numbers_become_pixels_as_in_diffusers():
    first, second = pictures_of(ARRAY)
    assert np.array_equal(np.asarray(second), (ARRAY[1] * 255).round().astype("uint8"))
    assert first.mode == "RGB"
    assert pictures_of(ARRAY[..., :1])[0].mode == "L"
    assert np.array_equal(np.asarray(pictures_of(ARRAY * 2 - 1, low=-1.0)[1]), np.asarray(second))
    assert np.asarray(pictures_of(np.full((1, 2, 2, 3), -2.15), low=-1.0)[0]).max() == 0


@pytest.mark.parametrize(
    "images",
    [
        [],
        [None],
        "a.png",
        None,
        ARRAY[0],
        np.zeros((1, 8, 8, 4)),
        np.zeros((1, 4, 64, 64)),
        np.full((1, 4, 4, 3), np.nan),
        np.full((1, 4, 4, 3), 7.0),
        np.full((1, 4, 4, 3), -1.0),
        [Image.new("RGB", (2, 2)), None],
    ],
)
def test_what_is_no_picture_is_refused(images):
    with pytest.raises(InputError, match="guard"):
        pictures_of(images)


def test_tensors_and_latents():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(ARRAY).movedim(-1, 1).half()
    assert [one.size for one in pictures_of(tensor)] == [(4, 4)] * 2
    for latents in (torch.zeros(2, 4, 8, 8), torch.zeros(2, 16, 8, 8), torch.zeros(2, 64, 16)):
        with pytest.raises(InputError, match="tensors"):
            pictures_of(latents)
    assert blanked(tensor, [True, False])[0].max() == 0
    assert tensor[0].max() > 0


def test_blanking_and_putting_leave_the_others_as_they_are():
    pictures = pictures_of(ARRAY)
    black, kept = blanked(pictures, [True, False])
    assert np.asarray(black).max() == 0
    assert kept is pictures[1]
    assert np.array_equal(blanked(ARRAY, [False, True])[0], ARRAY[0])
    assert put(pictures, 0, [kept, black], 1) == [black, pictures[1]]
    assert np.array_equal(put(ARRAY, 0, ARRAY, 1)[0], ARRAY[1])
