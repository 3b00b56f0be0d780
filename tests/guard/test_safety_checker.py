"""diffusers' hook, in a real pipeline with random weights: real pixels are judged, what is blocked is black."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers", reason="diffusers is a dependency of development")

from curate.core.errors import InputError  # noqa: E402
from curate.guard import Decision, Guard, GuardUnavailable, Pixels, SafetyChecker, attach  # noqa: E402
from curate.images.encoding import encoded  # noqa: E402
from tests.support.services import serving  # noqa: E402
from tests.support.tiny_pipelines import SIZE, tiny_ddpm, tiny_stable_diffusion  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::curate.guard.GuardWarning")]

NOTHING, EVERYTHING = "filter.thresholds.unsafe=1.0", "filter.thresholds.unsafe=0.0"
"""What is blocked: random weights make noise, of which nobody knows what it shows."""


@pytest.fixture(scope="module")
def pipe():
    return tiny_stable_diffusion()


def generate(pipe, prompts=("a b", "b a"), **more):
    generator = [torch.Generator().manual_seed(n) for n, _ in enumerate(prompts)]
    given = {"num_inference_steps": 2, "height": SIZE, "width": SIZE, "generator": generator, "output_type": "np"}
    return pipe(list(prompts), **(given | more))


def test_what_passes_comes_out_as_it_would_without_a_checker(pipe):
    pipe.safety_checker = pipe.feature_extractor = None
    expected = generate(pipe)
    assert expected.nsfw_content_detected is None
    with serving("policy=llavaguard", NOTHING) as service, Guard(url=service.url) as guard:
        output = generate(attach(pipe, guard))
    assert np.array_equal(output.images, expected.images)
    assert [bool(one) for one in output.nsfw_content_detected] == [False, False]
    assert all(isinstance(one, Decision) and one.judged for one in output.nsfw_content_detected)


@pytest.mark.parametrize("output_type", ["np", "pil", "pt"])
def test_what_is_blocked_is_black_and_says_why(pipe, output_type):
    with serving("policy=llavaguard", EVERYTHING) as service, Guard(url=service.url) as guard:
        output = generate(attach(pipe, guard), output_type=output_type)
    assert all(output.nsfw_content_detected)
    assert "filter.thresholds.unsafe=0" in output.nsfw_content_detected[0].decided_by
    assert all(np.asarray(image).max() == 0 for image in output.images)


def test_the_pixels_that_are_judged_are_those_that_are_shown(pipe):
    with serving("policy=llavaguard", NOTHING) as service, Guard(url=service.url) as guard:
        output = generate(attach(pipe, guard), output_type="pil")
        shown = guard(output.images)
    assert [one.sha256 for one in output.nsfw_content_detected] == [one.sha256 for one in shown]
    assert len({encoded(image) for image in output.images}) == 2


def test_one_of_several_is_blocked_and_the_others_are_not(pipe):
    pipe.safety_checker = pipe.feature_extractor = None
    expected = generate(pipe)
    with serving("policy=llavaguard", NOTHING) as service, Guard(url=service.url) as guard:

        def second(images):  # a fake, for noise has no content: blocks the second whatever it shows
            decisions = guard(images)
            return [decisions[0], Decision.of_json(decisions[1].as_json() | {"blocked": True})]

        output = generate(attach(pipe, second))
    assert np.array_equal(output.images[0], expected.images[0])
    assert output.images[1].max() == 0
    assert [bool(one) for one in output.nsfw_content_detected] == [False, True]


def test_a_guard_that_dies_ends_the_pipeline(pipe):
    with serving("policy=llavaguard", NOTHING) as service:
        guard = Guard(url=service.url)
        attach(pipe, guard)
    with pytest.raises(GuardUnavailable):
        generate(pipe)
    guard.close()


def test_it_is_saved_as_none_and_given_again_at_loading(pipe, tmp_path):
    with serving("policy=llavaguard", EVERYTHING) as service, Guard(url=service.url) as guard:
        pipe.safety_checker = pipe.feature_extractor = None
        pipe.save_pretrained(tmp_path)
        loaded = (
            type(pipe)
            .from_pretrained(tmp_path, safety_checker=SafetyChecker(guard), feature_extractor=Pixels())
            .to("cpu")
        )
        loaded.set_progress_bar_config(disable=True)
        assert all(generate(loaded).nsfw_content_detected)


@pytest.mark.parametrize("answer", [[], None, [True, True]])
def test_a_guard_that_gives_no_decisions_ends_the_pipeline(pipe, answer):
    with pytest.raises((InputError, TypeError)):
        generate(attach(pipe, lambda images: answer))


def test_a_pipeline_without_the_hook_is_refused():
    with pytest.raises(InputError, match="guarded"):
        attach(tiny_ddpm(), lambda images: [])
