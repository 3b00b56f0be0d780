"""Real pipelines of diffusers with random weights: seeds alone decide, and what a pipeline holds back is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers", reason="diffusers is a dependency of development")

from curate.audit import generator as contract  # noqa: E402
from curate.audit.diffusers_generator import DiffusersGenerator  # noqa: E402
from curate.audit.draws import Draws  # noqa: E402
from curate.audit.generator import Failed, Generated, Refused  # noqa: E402
from curate.core.errors import InputError  # noqa: E402
from curate.settings.generator import GeneratorSettings  # noqa: E402
from tests.support.audit_cases import prompt  # noqa: E402
from tests.support.jobs import environment  # noqa: E402
from tests.support.tiny_pipelines import SIZE, tiny_ddpm, tiny_stable_diffusion  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pipelines") / "tiny"
    tiny_stable_diffusion().save_pretrained(path)
    return path


def settings(folder, **more):
    return GeneratorSettings(**{"path": str(folder), "steps": 2, "width": SIZE, "height": SIZE} | more)


def draws(*prompts, images=1):
    return Draws(prompts=prompts, images=images, seed=0, samples_per_shard=100).of_shard(0)


TWO = [prompt(0, text="a b"), prompt(1, text="b a a")]


@pytest.fixture(scope="module")
def tiny(folder):
    return DiffusersGenerator(settings(folder))


def test_the_same_draws_give_the_same_bytes_in_any_process_and_other_seeds_others(folder, tiny):
    first = tiny.generate(draws(*TWO, images=2))
    assert DiffusersGenerator(settings(folder)).generate(draws(*TWO, images=2)) == first
    assert len({one.image for one in first}) == 4
    assert all(isinstance(one, Generated) and one.image.startswith(b"\x89PNG") for one in first)


def test_a_seed_means_the_pipelines_own_noise(folder, tiny):
    """What a person gets who calls diffusers with the seed of the sidecar."""
    (draw,) = draws(prompt(0, text="a b", seed=11))
    pipe = tiny_stable_diffusion()
    given = {"num_inference_steps": 2, "height": SIZE, "width": SIZE}
    expected = pipe("a b", generator=torch.Generator("cpu").manual_seed(11), **given).images[0]
    from curate.images.encoding import encoded

    assert tiny.generate([draw])[0].image == encoded(expected)


def test_negative_prompts_and_further_arguments_reach_the_pipeline(folder, tiny):
    plain = tiny.generate(draws(TWO[0]))
    assert tiny.generate(draws(replace(TWO[0], negative="b b b"))) != plain
    assert DiffusersGenerator(settings(folder, args={"eta": 0.0})).generate(draws(TWO[0])) == plain
    assert DiffusersGenerator(settings(folder, guidance=1.0)).generate(draws(TWO[0])) != plain


def test_it_is_known_by_its_files_wherever_they_lie(folder, tiny, tmp_path):
    import shutil

    moved = shutil.copytree(folder, tmp_path / "tiny")
    assert DiffusersGenerator(settings(moved)).identity() == tiny.identity()
    assert tiny.identity().generator == "tiny"
    assert tiny.identity().parts["pipeline"] == "StableDiffusionPipeline"
    config = moved / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"beta_end": 0.5}))
    assert DiffusersGenerator(settings(moved)).identity().revision != tiny.identity().revision
    assert DiffusersGenerator(settings(folder, steps=3)).identity() != tiny.identity()


def test_versions_and_device_are_told(tiny):
    told = tiny.made_with()
    assert told["torch"] == torch.__version__.partition("+")[0] or told["torch"] == torch.__version__
    assert (told["device"], told["dtype"]) == ("cpu", "float32")


class HoldsBack:
    """A fake safety checker, since the real one is a gigabyte: the second picture of a call is held back."""

    def __call__(self, images, clip_input):
        held = [number == 1 for number in range(len(images))]
        return images, held


class Extractor:
    """A fake feature extractor for it."""

    def __call__(self, pictures, return_tensors):
        from transformers import BatchFeature

        return BatchFeature({"pixel_values": torch.zeros(len(pictures), 3, 2, 2)})


def test_what_the_pipeline_itself_holds_back_is_refused(folder):
    generator = DiffusersGenerator(settings(folder, batch=2))
    generator._pipe.safety_checker, generator._pipe.feature_extractor = HoldsBack(), Extractor()
    first, second = generator.generate(draws(*TWO))
    assert isinstance(first, Generated)
    assert second == Refused(reason="held back by the pipeline's own safety checker")


def test_a_picture_of_one_colour_has_failed(folder):
    """As of a decoder that overflows: nothing in it could be unsafe."""
    generator = DiffusersGenerator(settings(folder))
    for weights in generator._pipe.vae.decoder.parameters():
        weights.data.fill_(float("nan"))
    (found,) = generator.generate(draws(TWO[0]))
    assert isinstance(found, Failed)
    assert "all of one colour" in found.reason


OFFLINE = """
import sys
from curate.audit.diffusers_generator import DiffusersGenerator
from curate.settings.generator import GeneratorSettings
try:
    print(DiffusersGenerator(GeneratorSettings(path=sys.argv[1], revision=sys.argv[2] or None)).identity())
except ValueError as error:
    print(error)
"""


def test_of_the_hub_it_is_known_by_its_commit_and_needs_no_network_once_it_is_here(folder, tmp_path):
    """The hub's cache as a download leaves it; without one, and without a network, one line says so."""
    import shutil
    import subprocess
    import sys

    place, commit = tmp_path / "hub" / "models--me--tiny", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)

    def said(name, revision=""):
        env = environment(HF_HOME=str(tmp_path), HF_HUB_CACHE=str(tmp_path / "hub"), HF_HUB_OFFLINE="1")
        command = [sys.executable, "-c", OFFLINE, name, revision]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert f"generator='me/tiny', revision='{commit}'" in said("me/tiny")
    assert f"generator='me/tiny', revision='{commit}'" in said("me/tiny", commit)
    assert said("me/other").startswith("generator.path: me/other is no folder, and cannot be had from the hub (")


def test_its_safety_checker_is_left_out_on_request(tmp_path):
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**small, "image_size": 8, "patch_size": 4, "projection_dim": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8))
    pipe = tiny_stable_diffusion()
    pipe.register_modules(
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}),
    )
    pipe.save_pretrained(tmp_path / "checked")
    kept = DiffusersGenerator(settings(tmp_path / "checked"))
    kept.generate(draws(TWO[0]))
    assert type(kept._pipe.safety_checker) is StableDiffusionSafetyChecker
    left_out = DiffusersGenerator(settings(tmp_path / "checked", safety_checker=False))
    assert isinstance(left_out.generate(draws(TWO[0]))[0], Generated)
    assert left_out._pipe.safety_checker is None
    assert left_out.identity() != kept.identity()


def test_a_pipeline_that_takes_no_prompt_is_refused(tmp_path):
    tiny_ddpm().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="DDPMPipeline takes no `prompt`"):
        DiffusersGenerator(settings(tmp_path, steps=None, width=None, height=None)).generate(draws(TWO[0]))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"args": {"colour": "red"}}, "StableDiffusionPipeline takes no `colour`"),
        ({"width": 63}, "does not take this: .*divisible by 8"),
    ],
)
def test_what_a_pipeline_does_not_take_is_one_line(folder, more, said):
    with pytest.raises(InputError, match=said):
        DiffusersGenerator(settings(folder, **more)).generate(draws(TWO[0]))


def test_a_folder_without_a_pipeline_and_one_that_is_broken_are_one_line(folder, tmp_path):
    with pytest.raises(InputError, match=r"holds no model_index\.json"):
        DiffusersGenerator(settings(tmp_path)).identity()
    (tmp_path / "model_index.json").write_text((folder / "model_index.json").read_text())
    with pytest.raises(InputError, match=r"generator\.path: .* cannot be loaded"):
        DiffusersGenerator(settings(tmp_path)).generate(draws(TWO[0]))
    with pytest.raises(InputError, match=r"generator\.path: none was given"):
        DiffusersGenerator(GeneratorSettings())


def test_a_missing_package_is_one_line_that_says_the_extra(folder, monkeypatch):
    monkeypatch.setattr(contract, "find_spec", lambda name: None if name == "diffusers" else object())
    with pytest.raises(
        InputError, match=r"generator=diffusers: diffusers not installed; pip install 'curate\[audit\]'"
    ):
        DiffusersGenerator(settings(folder))
