"""A generator in a process of its own: what it holds of a GPU goes with it, before the safeguard comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.audit.draws import Draw
from curate.audit.factory import make_generator
from curate.audit.generator import Generator, GeneratorFailed, Identity, Made
from curate.processes.piped_process import PipedProcess, ProcessDied
from curate.settings.generator import GeneratorSettings


@dataclass(slots=True)
class _Handler:
    """Answers in the process; what it is asked is the name of a method and its arguments."""

    settings: GeneratorSettings
    generator: Generator | None = field(default=None, init=False)

    def __call__(self, question: tuple[str, tuple[Any, ...]]) -> Any:
        if self.generator is None:
            self.generator = make_generator(self.settings)
        method, arguments = question
        return getattr(self.generator, method)(*arguments)


class GeneratorProcess:
    """See `Generator`, whose errors it hands on.

    Raises:
        GeneratorFailed: the process died, which a later try may not repeat.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        self._process: PipedProcess[tuple[str, tuple[Any, ...]], Any] = PipedProcess(_Handler(settings))

    def identity(self) -> Identity:
        """See `Generator`."""
        found: Identity = self._ask("identity")
        return found

    def generate(self, draws: Sequence[Draw]) -> list[Made]:
        """See `Generator`."""
        made: list[Made] = self._ask("generate", list(draws))
        return made

    def made_with(self) -> dict[str, str]:
        """See `Generator`."""
        versions: dict[str, str] = self._ask("made_with")
        return versions

    def close(self) -> None:
        """End the process."""
        self._process.stop()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return self._process.ask((method, arguments))
        except ProcessDied as error:
            raise GeneratorFailed(f"the generator's process died ({error}); run again to go on") from error
