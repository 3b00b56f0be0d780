"""Tunes a safeguard, or makes the training data for one. Needs the extra `tune`.

`tune data gold=PATH output.dir=DIR` makes conversations of a gold set, with the policy augmentations:

- the gold set is a table with key, rating, category, optionally policy, split, rationale, template; or a folder
- policy=NAME is that of rows without one of their own
- model=NAME is what will be tuned: its layout and the bound of its rationales count
- +dataset=NAME says where the images are, if the gold set holds none
- teacher=NAME writes the missing rationales, with teacher.* and engine.* as `run` takes model.* and engine.*

`tune data=DIR output.dir=DIR` tunes; run again after any interruption and it goes on. model=NAME is what is tuned, by
default the base of the recipe; tune=NAME is the recipe, by default that of the model's name, else lora.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from curate.cli.hydra_config import compose_dataset, compose_judge, compose_policy, compose_tune
from curate.cli.path_values import path_of
from curate.cli.run_argument import split_output_dir
from curate.console.output import say
from curate.core.errors import ExitCode, InputError
from curate.settings.tune import DataSettings

if TYPE_CHECKING:
    from curate.tuning.teacher import Teacher

SUMMARY = "training data for a safeguard, and tuning it"
EXAMPLE = "tune model=qwenguard_3b data=training output.dir=tuned"
WORDS = "data"
ARGUMENTS = """
data=DIR                  what `tune data` made
output.dir=DIR            where the model goes, or the data
gold=PATH                 data: the gold set, a table or a folder
teacher=NAME              data: a safeguard that writes the missing rationales
seed=0                    data: of the augmentations, the split and the balance
dev=0.05                  data: share of images held out where the gold set has no column `split`
augment=true|false        data: whether to draw policies
safe_draws=0              data: draws for each safe image as well, up to three
exception_draws=1         data: draws for each unsafe image in which its category is declared non-violating
balance=true|false        data: whether to repeat the rarer rating in the training split
"""
SETTINGS = "tune model policy dataset engine"

_REQUIRED = ("torch", "transformers", "accelerate", "peft", "matplotlib")


def main(argv: list[str]) -> ExitCode:
    """Make data or tune.

    Raises:
        InputError: an argument, the gold set, the data or the model is wrong; one line.
    """
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise InputError(f"tune: {', '.join(missing)} not installed; pip install 'curate[tune]'")
    if argv[:1] == ["data"]:
        _data(argv[1:])
    else:
        _tune(argv)
    return ExitCode.DONE


def _data(argv: Sequence[str]) -> None:
    from curate.tuning.build import Recipe, build
    from curate.tuning.gold_images import dataset_of_gold

    folder, arguments = split_output_dir(argv)
    settings, arguments = _data_settings(arguments)
    own = [a for a in arguments if not _is_of_teacher(a)]
    policy, model = compose_policy(own)
    recipe = Recipe(
        settings=settings,
        policy=policy,
        named=lambda name: compose_policy([f"policy={name}"])[0],
        model=model,
        dataset=compose_dataset(own) or dataset_of_gold(settings.gold),
        teacher=_teacher(arguments),
    )
    say(f"{folder}:", *(f"  {line}" for line in build(recipe, folder).lines()))


def _data_settings(arguments: Sequence[str]) -> tuple[DataSettings, list[str]]:
    """The settings among the arguments, and the other arguments."""
    pairs = [a.partition("=")[::2] for a in arguments]
    given = {key: path_of(value) for key, value in pairs if key in DataSettings.model_fields}
    if "gold" not in given:
        raise InputError(
            "tune data: needs gold=, as in: python -m curate tune data gold=gold.parquet output.dir=training"
        )
    try:
        settings = DataSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}={first['input']}: {first['msg']}") from error
    return settings, [f"{key}={value}" for key, value in pairs if key not in given]


def _is_of_teacher(argument: str) -> bool:
    return argument.startswith(("teacher=", "teacher.", "engine=", "engine."))


def _teacher(arguments: Sequence[str]) -> Teacher | None:
    """The teacher, configured as a model of its own beside the engine."""
    own = [a.replace("teacher", "model", 1) if a.startswith("teacher") else a for a in arguments if _is_of_teacher(a)]
    if not any(a.startswith("teacher=") for a in arguments):
        return None
    from curate.engines.dtype import settled
    from curate.tuning.teacher import Teacher

    model, engine = compose_judge(own)
    return Teacher(model=settled(model, engine), engine=engine)


def _tune(argv: Sequence[str]) -> None:
    data = [a.removeprefix("data=") for a in argv if a.startswith("data=")]
    if not data:
        raise InputError(f"tune: needs data=, as in: python -m curate {EXAMPLE}; or `tune data` to make them")
    folder, overrides = split_output_dir([a for a in argv if not a.startswith("data=")])
    settings, model = compose_tune(overrides)

    from curate.tuning.tune import tune

    written = tune(settings, model, Path(path_of(data[-1])), folder)
    say(f"{folder}: use it with model={written}")
