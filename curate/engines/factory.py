"""Engines by name; none is imported before it is asked for, since vLLM alone takes seconds to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from curate.core.errors import InputError
from curate.engines.base import Engine
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings


def make_engine(model: ModelSettings, engine: EngineSettings) -> Engine:
    """The engine that `engine.name` names, not yet started.

    Raises:
        InputError: there is no such engine, or it cannot be used as configured.
    """
    check_engine(model, engine)
    return ENGINES[engine.name](model, engine)


def check_engine(model: ModelSettings, engine: EngineSettings) -> None:
    """Refuse what an engine cannot do, before anything is started or written.

    Raises:
        InputError: see `make_engine`.
    """
    if engine.name not in ENGINES:
        raise InputError(f"engine.name: there is no engine {engine.name!r}; choose one of {', '.join(ENGINES)}")
    if engine.name == "server" and model.layout == "policy_first":
        raise InputError(
            "model.layout=policy_first: where the picture stands is up to a server's own chat template, and most put "
            "it first whatever they are sent; use engine=vllm, or a model that reads the image first"
        )
    if engine.name == "server" and model.category_scores:
        raise InputError(
            "model.category_scores=true: a server tells probabilities only of what it answers; use engine=vllm"
        )


def _vllm(model: ModelSettings, engine: EngineSettings) -> Engine:
    from curate.engines.vllm_engine import VllmEngine

    return VllmEngine(model, engine)


def _server(model: ModelSettings, engine: EngineSettings) -> Engine:
    from curate.engines.server import ServerEngine

    return ServerEngine(model, engine)


def _fake(model: ModelSettings, engine: EngineSettings) -> Engine:
    from curate.engines.fake import FakeEngine

    return FakeEngine(model, engine)


ENGINES: Mapping[str, Callable[[ModelSettings, EngineSettings], Engine]] = {
    "vllm": _vllm,
    "server": _server,
    "fake": _fake,
}
