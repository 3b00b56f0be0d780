"""The contract of a generator: prompts and seeds go in; for each a picture comes out, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Protocol

from curate.audit.draws import Draw
from curate.core.errors import CurateError, ExitCode, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A picture.

    Attributes:
        image: encoded, in any format that `curate.images` decodes.
        fields: what else the generator says of it, for the sidecar; JSON-serialisable.
    """

    image: bytes
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The generator will not show this: its own filter, or that of the API, held it back."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The generator cannot make this one, for a reason that has nothing to do with safety; it makes others."""

    reason: str


Made = Generated | Refused | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What tells a generator from all others, for records and sidecars.

    Attributes:
        generator: as a person would name it.
        revision: the commit, or a digest of the weights; "" where nobody can tell, as of an API.
        parts: all else that its pictures depend on.
    """

    generator: str
    revision: str
    parts: Mapping[str, object] = field(default_factory=dict)


class GeneratorFailed(CurateError):
    """The generator is gone, or an API does not answer; what was made stays, and running again goes on."""

    exit_code = ExitCode.INPUT


class Generator(Protocol):
    """A text-to-image model. It lives in a process of its own, and is made there from its settings.

    Equal draws in equal batches give equal bytes, as far as the model's numerics allow it.
    """

    def identity(self) -> Identity:
        """What it is; without loading more than that needs.

        Raises:
            InputError: there is no such model.
        """
        ...

    def generate(self, draws: Sequence[Draw]) -> list[Made]:
        """What comes of each draw, in their order; up to `generator.batch` of them.

        Raises:
            InputError: the model cannot be loaded, or does not take what the settings give it.
            GeneratorFailed: it does not answer.
        """
        ...

    def made_with(self) -> dict[str, str]:
        """Versions and hardware that the last bits depend on (provenance only)."""
        ...


def require(generator: str, *modules: str) -> None:
    """Refuse to go on without these packages.

    Raises:
        InputError: says what to install.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InputError(f"generator={generator}: {', '.join(missing)} not installed; pip install 'curate[audit]'")
