"""What every group of settings is made of."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """Base of all groups: frozen, and an unknown key is an error that names it."""

    # Numbers become strings where strings are wanted: job.time=60, model.revision=1.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is said of a field's type, or of what holds instead of a default, where the field itself does not say it."""

    kind: str | None = None
    instead: str | None = None


def _listed(value: object) -> object:
    """One text stands for a list of it."""
    return [value] if isinstance(value, str) else value
