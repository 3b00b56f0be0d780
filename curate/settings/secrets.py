"""Which settings may hold secrets, and what is written of them: run.yaml is read by whoever may read the folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curate.core.errors import InputError
from curate.core.secrets import (
    masked_arguments,
    masked_options,
    masked_place,
    masked_url,
    remember,
    without_secrets,
)
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.run import Settings

_OPTIONS = frozenset({"dataset.storage_options"})
"""Where every text counts as a secret that is not known to be none."""

_ARGUMENTS = frozenset({"dataset.options", "engine.args", "generator.args", "model.processor", "model.hf_overrides"})
"""Where names tell."""

_LINES = frozenset({"job.setup", "job.options"})
"""Where variables are set, as in a shell."""


def written(settings: Settings) -> dict[str, Any]:
    """The settings as a run's folder keeps them: plain values, with `MASK` in the place of every secret."""
    return masked_fields(settings.model_dump(mode="json", exclude={"retry", "extend"}))


def masked_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The groups of a configuration, as plain values, with `MASK` in the place of every secret."""
    return {name: _masked(name, value) for name, value in fields.items()}


def remember_secrets(settings: Settings) -> None:
    """Hold the secrets among `settings`, so that no message of this process shows one."""
    remember(settings.model_dump(mode="json", exclude={"retry", "extend"}), written(settings))


def masked_engine(engine: EngineSettings) -> dict[str, Any]:
    """An engine's settings as they may be written."""
    return {name: _masked(f"engine.{name}", value) for name, value in engine.model_dump(mode="json").items()}


def refuse_masked(dataset: DatasetSettings) -> None:
    """Refuse to go to a storage with a mask in the place of a secret.

    Raises:
        InputError: says what to give again.
    """
    given = {"storage_options": dataset.storage_options, "options": dataset.options}
    place = masked_place(given, "dataset")
    if place is not None:
        raise InputError(given_again(place))


def given_again(place: str) -> str:
    """The one line for a secret that is not there."""
    return (
        f"{place}: is a secret, which a run's folder does not keep; give it again with {place}=..., or have it taken "
        f"from the environment or a profile with ~{place}"
    )


def _masked(path: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if path in _OPTIONS:
            return masked_options(value)
        if path in _ARGUMENTS:
            return masked_arguments(value)
        return {name: _masked(f"{path}.{name}", item) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(path, item) for item in value]
    if not isinstance(value, str):
        return value
    return without_secrets(value) if path in _LINES else masked_url(value)
