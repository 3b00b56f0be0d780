"""The safeguard in front of a generative model: decisions on pictures as they come.

>>> from curate.guard import Guard
>>> guard = Guard(model="llavaguard_0.5b", policy="kids", thresholds="filter-recall.yaml")
>>> if any(guard(images)): ...

Nouns: `Guard`, `Decision` (true where a picture is blocked), `Decider` (a filter's rules), `LiveJudge` (an engine).
Law: what was not judged never passes.

| module | does |
|---|---|
| decision, decider | what is said of a picture; by which rules |
| live_judge, places | an engine that answers whoever asks; bounds on what is held |
| client, own_service | `Guard`, and the process that judges for it |
| safety_checker, guarded_pipeline, modular_block | diffusers: its own hook, pipelines without one, modular ones |
| pixels | pictures as pipelines hand them on |

For programs, unlike other rooms, names can be had from here: `from curate.guard import Guard, guarded`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.guard.client import Guard as Guard
    from curate.guard.client import GuardUnavailable as GuardUnavailable
    from curate.guard.client import GuardWarning as GuardWarning
    from curate.guard.decision import Decision as Decision
    from curate.guard.guarded_pipeline import UnsafeImage as UnsafeImage
    from curate.guard.guarded_pipeline import guarded as guarded
    from curate.guard.modular_block import GuardBlock as GuardBlock
    from curate.guard.safety_checker import Pixels as Pixels
    from curate.guard.safety_checker import SafetyChecker as SafetyChecker
    from curate.guard.safety_checker import attach as attach

__all__ = (
    "decider",
    "decision",
    "live_judge",
    "places",
)

_NAMES = {
    "Decision": "decision",
    "Guard": "client",
    "GuardBlock": "modular_block",
    "GuardUnavailable": "client",
    "GuardWarning": "client",
    "Pixels": "safety_checker",
    "SafetyChecker": "safety_checker",
    "UnsafeImage": "guarded_pipeline",
    "attach": "safety_checker",
    "guarded": "guarded_pipeline",
}


def __getattr__(name: str) -> object:
    """Names for programs are loaded when they are asked for."""
    if name in _NAMES:
        return getattr(import_module(f"curate.guard.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
