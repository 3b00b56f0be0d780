"""A picture that was rendered behind one prompt goes behind another; checked without vLLM, which `vllm` tests do."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest

from curate.engines.shared_picture import Packed, SharedPicture, unpacked

PICTURE = 7


@dataclass(frozen=True)
class Place:
    offset: int
    length: int


def rendered(tokens, place, pixels=(1, 2)):
    return {
        "prompt_token_ids": tokens, "mm_placeholders": {"image": [place]}, "mm_kwargs": pixels, "mm_hashes": "h",
    }  # fmt: skip


def test_the_other_prompt_has_the_picture_at_its_own_place():
    packed = Packed.of(rendered([1, 7, 7, 7, 2], Place(1, 3)))
    shared = SharedPicture.of([1, PICTURE, 2], packed)
    other = shared.behind([5, 6, PICTURE, 8])
    assert unpacked(other.data()) == rendered([5, 6, 7, 7, 7, 8], Place(2, 3))
    assert other.pixels is packed.pixels


def test_pixels_cross_a_pipe_once():
    packed = Packed.of(rendered([1, 7, 7, 2], Place(1, 2), pixels=bytes(100_000)))
    shared = SharedPicture.of([1, PICTURE, 2], packed)
    both = [packed.data(), shared.behind([3, PICTURE]).data()]
    assert len(pickle.dumps(both)) < 110_000
    one, other = pickle.loads(pickle.dumps(both))
    assert one[1] is other[1]


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ([1, 7, 2], [1, 9, 7, 7, 2], Place(2, 2)),  # a token was added in front of it
        ([1, 7, 2], [1, 7, 7, 3], Place(1, 2)),  # what is behind it changed too
        ([1, 7, 2, 7], [1, 7, 7, 2, 7], Place(1, 2)),  # not the only such token
    ],
)
def test_what_is_more_than_one_placeholder_is_not_shared(before, after, place):
    assert SharedPicture.of(before, Packed.of(rendered(after, place))) is None


@pytest.mark.parametrize("tokens", [[1, 2], [7, 1, 7]])
def test_a_prompt_without_exactly_one_place_is_rendered_by_itself(tokens):
    shared = SharedPicture.of([1, PICTURE], Packed.of(rendered([1, 7, 7], Place(1, 2))))
    assert shared.behind(tokens) is None
