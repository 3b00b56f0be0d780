"""Generators by name."""

from __future__ import annotations

import pytest

from curate.audit.factory import FOLDER, GENERATORS, make_generator
from curate.core.errors import InputError
from curate.settings.config_groups import group_names
from curate.settings.generator import GeneratorSettings


def test_every_generator_has_a_file_in_conf():
    assert group_names("generator") == sorted([*GENERATORS, FOLDER])


@pytest.mark.parametrize("name", GENERATORS)
def test_each_says_what_it_needs(name):
    with pytest.raises(InputError, match=r"generator\."):
        make_generator(GeneratorSettings(name=name))


def test_another_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean diffusers"):
        make_generator(GeneratorSettings(name="difusers"))
    with pytest.raises(InputError, match="choose one of diffusers, openai, folder"):
        make_generator(GeneratorSettings(name="x"))
