"""A generator in its process: its answers and errors come out, its death is told, and it goes when it is closed."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

pytest.importorskip("openai", reason="openai is a dependency of development")

from curate.audit.draws import Draws
from curate.audit.generator import GeneratorFailed
from curate.audit.generator_process import GeneratorProcess
from curate.audit.openai_generator import OpenAIGenerator
from curate.core.errors import InputError
from curate.settings.generator import GeneratorSettings
from tests.support.audit_cases import prompt
from tests.support.images_api import MODEL, images_api

pytestmark = pytest.mark.slow

DRAWS = Draws(prompts=[prompt(0), prompt(1, text="forbidden")], images=2, seed=0, samples_per_shard=9).of_shard(0)


@pytest.fixture
def api():
    with images_api() as api:
        yield api


@pytest.fixture
def settings(api):
    return GeneratorSettings(name="openai", url=api.url, api_model=MODEL, retries=0)


def test_it_answers_as_the_generator_itself(settings):
    generator = GeneratorProcess(settings)
    itself = OpenAIGenerator(settings)
    assert generator.identity() == itself.identity()
    assert generator.made_with() == itself.made_with()
    assert generator.generate(DRAWS) == itself.generate(DRAWS)
    (child,) = [one for one in psutil.Process().children() if "spawn_main" in " ".join(one.cmdline())]
    generator.close()
    assert not child.is_running()


def test_errors_come_through(settings):
    generator = GeneratorProcess(settings.model_copy(update={"args": {"colour": "red"}}))
    with pytest.raises(InputError, match="Unknown parameter"):
        generator.generate(DRAWS[:1])
    generator.close()
    with pytest.raises(InputError, match=r"generator\.name=other"):
        GeneratorProcess(GeneratorSettings(name="other")).identity()


def test_its_death_is_told(api, settings):
    generator = GeneratorProcess(settings)
    generator.identity()
    answer = api.answer

    def killing(body, key):
        for one in psutil.Process().children():
            if "spawn_main" in " ".join(one.cmdline()):
                os.kill(one.pid, signal.SIGKILL)
        return answer(body, key)

    api.answer = killing
    with pytest.raises(GeneratorFailed, match=r"the generator's process died \(SIGKILL\); run again to go on"):
        generator.generate(DRAWS)
    api.answer = answer
    assert len(generator.generate(DRAWS)) == 4
    generator.close()
