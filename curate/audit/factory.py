"""Generators by name; none is imported before it is asked for. A new one is a file, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from curate.audit.generator import Generator
from curate.core.closest_names import did_you_mean, nearest
from curate.core.errors import InputError
from curate.settings.generator import GeneratorSettings

FOLDER = "folder"
"""Pictures that somebody else generated: nothing is."""

GENERATORS: Mapping[str, str] = {
    "diffusers": "curate.audit.diffusers_generator:DiffusersGenerator",
    "openai": "curate.audit.openai_generator:OpenAIGenerator",
}


def make_generator(settings: GeneratorSettings) -> Generator:
    """The generator that settings name; nothing is loaded yet.

    Raises:
        InputError: there is none of that name, or it lacks a package or a setting.
    """
    if settings.name not in GENERATORS:
        known = (*GENERATORS, FOLDER)
        near = did_you_mean([nearest(settings.name, known)]) or f"; choose one of {', '.join(known)}"
        raise InputError(f"generator.name={settings.name}: there is no such generator{near}")
    module, _, name = GENERATORS[settings.name].partition(":")
    kind = cast(Callable[[GeneratorSettings], Generator], getattr(import_module(module), name))
    return kind(settings)
