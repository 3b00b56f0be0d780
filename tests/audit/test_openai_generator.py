"""An images API through OpenAI's own client; the API is a stub (tests/support/images_api.py)."""

from __future__ import annotations

import pytest

pytest.importorskip("openai", reason="openai is a dependency of development")

from curate.audit.draws import Draws
from curate.audit.generator import Failed, Generated, GeneratorFailed, Refused
from curate.audit.openai_generator import OpenAIGenerator
from curate.core.errors import InputError
from curate.images.formats import sniff_format
from curate.settings.generator import GeneratorSettings
from tests.support.audit_cases import prompt
from tests.support.images_api import MODEL, images_api

pytestmark = pytest.mark.slow


@pytest.fixture
def api(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with images_api() as api:
        yield api


def settings(api, **more):
    return GeneratorSettings(**{"name": "openai", "url": api.url, "api_model": MODEL, "retries": 2} | more)


def made(api, *texts, **more):
    prompts = [prompt(n, text=text, seed=n + 5) for n, text in enumerate(texts)]
    draws = Draws(prompts=prompts, images=1, seed=0, samples_per_shard=100).of_shard(0)
    return OpenAIGenerator(settings(api, **more)).generate(draws)


def test_pictures_come_back_in_the_order_of_the_draws(api):
    texts = [f"a cat {n}" for n in range(12)]
    every = made(api, *texts)
    assert all(isinstance(one, Generated) and sniff_format(one.image) == "png" for one in every)
    assert [one.fields["revised_prompt"] for one in every] == [f"{text}, revised" for text in texts]
    assert made(api, *texts) == every


def test_what_is_sent_is_what_the_settings_say(api):
    made(api, "a cat", width=512, height=256, args={"quality": "low"})
    assert api.requests == [
        {
            "model": MODEL,
            "prompt": "a cat",
            "n": 1,
            "seed": 5,
            "size": "512x256",
            "response_format": "b64_json",
            "quality": "low",
        }
    ]
    api.requests.clear()
    made(api, "a cat", seed_field=None, response_format=None)
    assert api.requests == [{"model": MODEL, "prompt": "a cat", "n": 1}]


def test_a_negative_prompt_goes_into_its_field_or_is_refused(api):
    draws = Draws(prompts=[prompt(0, negative="rain")], images=1, seed=0, samples_per_shard=1).of_shard(0)
    OpenAIGenerator(settings(api)).generate(draws)
    assert api.requests[0]["negative_prompt"] == "rain"
    with pytest.raises(InputError, match=r"prompt 'p0': has a negative prompt"):
        OpenAIGenerator(settings(api, negative_field=None)).generate(draws)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_passes_is_asked_for_again(api, status):
    (one,) = made(api, f"a cat, status {status}")
    assert isinstance(one, Generated)
    assert len(api.requests) == 2


@pytest.mark.parametrize("status", [429, 502])
def test_what_does_not_pass_ends_it_with_one_line(api, status):
    with pytest.raises(GeneratorFailed, match=rf"generator.url=http://127.* answers {status}: .*run again to go on"):
        made(api, f"always status {status}")
    assert len(api.requests) == 3


def test_what_the_api_holds_back_counts_as_refused_and_the_others_are_made(api):
    refused, cat = made(api, "forbidden things", "a cat")
    assert isinstance(refused, Refused)
    assert "rejected by the safety system." in refused.reason
    assert isinstance(cat, Generated)


def test_a_prompt_that_cannot_be_taken_and_an_answer_without_a_picture_have_failed(api):
    first, second = made(api, "far too long", "no picture")
    assert isinstance(first, Failed)
    assert "prompt is too long" in first.reason
    assert second == Failed(reason="the answer holds no picture")


def test_a_parameter_that_the_api_does_not_know_is_the_settings_fault(api):
    with pytest.raises(InputError, match=r"answers 400: .*Unknown parameter: 'colour'.*see generator\.url"):
        made(api, "a cat", args={"colour": "red"})


def test_a_link_is_not_followed(api):
    with pytest.raises(InputError, match=r"answers with a link; ask for generator\.response_format=b64_json"):
        made(api, "a cat as a link")


def test_a_wrong_key_is_told_and_not_shown(api, monkeypatch):
    monkeypatch.setenv("MY_KEY", "wrong")
    with pytest.raises(InputError, match=r"refuses the key .* into the environment as MY_KEY"):
        made(api, "a cat", api_key_env="MY_KEY")
    monkeypatch.setenv("MY_KEY", "right-key")
    made(api, "a cat", api_key_env="MY_KEY")
    assert api.keys[-1] == "Bearer right-key"


def test_where_nobody_answers_one_line_says_so():
    with images_api() as gone:
        pass
    with pytest.raises(GeneratorFailed, match=r"does not answer \(APIConnectionError"):
        made(gone, "a cat", retries=0)


def test_a_path_that_is_not_there_is_the_settings_fault(api):
    with pytest.raises(InputError, match="answers 404"):
        made(api, "a cat", url=api.url.removesuffix("/v1") + "/v2")


@pytest.mark.parametrize("missing", ["url", "api_model"])
def test_address_and_model_are_needed(api, missing):
    with pytest.raises(InputError, match=r"generator\.url and generator\.api_model: give both"):
        OpenAIGenerator(settings(api, **{missing: None}))
