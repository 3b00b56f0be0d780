"""Pipelines without a hook: blank, raise or regenerate; whatever comes out was judged."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers", reason="diffusers is a dependency of development")

from curate.core.errors import InputError  # noqa: E402
from curate.guard import Decision, Guard, GuardUnavailable, UnsafeImage, guarded  # noqa: E402
from tests.support.services import serving  # noqa: E402
from tests.support.tiny_pipelines import tiny_ddpm, tiny_stable_diffusion  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::curate.guard.GuardWarning")]


@pytest.fixture(scope="module")
def pipe():
    return tiny_ddpm()


@pytest.fixture(scope="module")
def guard():
    with serving("policy=llavaguard", "filter.thresholds.unsafe=1.0") as service, Guard(url=service.url) as made:
        yield made


class Blocks:
    """A fake, for noise has no content: blocks the pictures at these places of these calls, whatever they show."""

    def __init__(self, guard, *places):
        self._guard = guard
        self._places = [set(one) for one in places]
        self.calls = 0

    def __call__(self, images):
        blocked = self._places[self.calls] if self.calls < len(self._places) else set()
        self.calls += 1
        said = [decision.as_json() | {"blocked": n in blocked} for n, decision in enumerate(self._guard(images))]
        return [Decision.of_json(one) for one in said]


def generate(pipe, seed=0, batch=2, **more):
    generator = torch.Generator().manual_seed(seed)
    return pipe(**({"batch_size": batch, "num_inference_steps": 2, "generator": generator, "output_type": "np"} | more))


@pytest.mark.parametrize("mode", ["blank", "raise", "regenerate"])
def test_what_passes_comes_out_as_it_is(pipe, guard, mode):
    output = generate(guarded(pipe, guard, mode))
    assert np.array_equal(output.images, generate(pipe).images)
    assert [bool(one) for one in output.decisions] == [False, False]
    assert all(one.judged for one in output.decisions)


@pytest.mark.parametrize("output_type", ["np", "pil"])
def test_what_is_blocked_is_black(pipe, guard, output_type):
    output = generate(guarded(pipe, Blocks(guard, [1])), output_type=output_type)
    expected = generate(pipe, output_type=output_type).images
    assert np.array_equal(np.asarray(output.images[0]), np.asarray(expected[0]))
    assert np.asarray(output.images[1]).max() == 0
    assert [bool(one) for one in output.decisions] == [False, True]


def test_or_raised(pipe, guard):
    with pytest.raises(UnsafeImage, match="1 of 2 pictures were blocked") as raised:
        generate(guarded(pipe, Blocks(guard, [1]), "raise"))
    assert [bool(one) for one in raised.value.decisions] == [False, True]


def test_or_generated_again_from_seeds_that_follow_from_the_first(pipe, guard):
    blocks = Blocks(guard, [0, 1], [0], [1])
    output = generate(guarded(pipe, blocks, "regenerate"))
    assert blocks.calls == 3
    assert not any(output.decisions)
    assert np.array_equal(output.images[0], generate(pipe, seed=2).images[0])
    assert np.array_equal(output.images[1], generate(pipe, seed=1).images[1])
    again = generate(guarded(pipe, Blocks(guard, [0, 1], [0], [1]), "regenerate"))
    assert np.array_equal(output.images, again.images)


def test_but_not_for_ever_and_what_is_still_blocked_is_black(pipe, guard):
    blocks = Blocks(guard, *([[0]] * 9))
    output = generate(guarded(pipe, blocks, "regenerate", tries=2))
    assert blocks.calls == 3
    assert output.images[0].max() == 0
    assert output.images[1].max() > 0


def test_without_a_generator_seeds_are_new(pipe, guard):
    output = generate(guarded(pipe, Blocks(guard, [0, 1]), "regenerate"), generator=None)
    assert not any(output.decisions)


def test_as_a_tuple(pipe, guard):
    images, decisions = generate(guarded(pipe, Blocks(guard, [0])), return_dict=False)
    assert images[0].max() == 0
    assert [bool(one) for one in decisions] == [True, False]


def test_a_guard_that_dies_ends_the_pipeline(pipe):
    with serving("policy=llavaguard") as service:
        gone = Guard(url=service.url)
    for mode in ("blank", "raise", "regenerate"):
        with pytest.raises(GuardUnavailable):
            generate(guarded(pipe, gone, mode))
    gone.close()


def test_latents_are_no_pictures(guard):
    pipe = guarded(tiny_stable_diffusion(), guard)
    with pytest.raises(InputError, match="latents"):
        pipe("a b", num_inference_steps=1, output_type="latent")
    with pytest.raises(InputError, match="no images"):
        guarded(lambda: object(), guard)()


def test_no_method_leads_around_the_guard(pipe, guard):
    wrapped = guarded(pipe, Blocks(guard, [0]))
    assert wrapped.to("cpu") is wrapped
    assert wrapped.scheduler is pipe.scheduler
    assert generate(wrapped.to(torch.float32)).images[0].max() == 0


def test_modes_that_there_are(pipe, guard):
    with pytest.raises(InputError, match="blank"):
        guarded(pipe, guard, "ignore")
