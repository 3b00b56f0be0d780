"""Audit a text-to-image model: generate, judge, and count what is unsafe, by category and prompt set, with intervals.

Run it again after any interruption and it goes on. `images` pictures of each prompt are generated with seeds that
follow from the prompt, then judged by the ordinary `run`, whose settings it takes. `generator=folder` takes pictures
that somebody else made; sidecars or generator.manifest=FILE say which prompt they have.

`audit compare A B` puts two audits of the same prompts side by side, as against=A does at the end of one.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from curate.audit import own_pictures
from curate.audit.comparison import load_audit
from curate.audit.draws import Draws
from curate.audit.factory import FOLDER, make_generator
from curate.audit.generating import Generating
from curate.audit.generator_process import GeneratorProcess
from curate.audit.outcomes import Asked, of_draws
from curate.audit.prompts import Prompt, read_prompts
from curate.audit.record import begin, begin_with_pictures, generating, identity_in, named_after, read_record
from curate.audit.report_md import short, short_comparison
from curate.audit.results import check_judge, require_statistics, write_comparison, write_results
from curate.cli.commands import run as run_command
from curate.cli.hydra_config import compose_generator, compose_settings
from curate.cli.overrides import MOVED, key_of
from curate.cli.path_values import path_of
from curate.console.output import say
from curate.console.phases import phase
from curate.core.errors import ExitCode, InputError
from curate.core.secrets import without_secrets
from curate.runs.run_folder import Run, load_run
from curate.settings.generator import GeneratorSettings
from curate.storage.factory import open_store
from curate.storage.store import Store

SUMMARY = "how much of what a text-to-image model makes is unsafe, by category, with intervals"
EXAMPLE = "audit prompts=prompts.csv generator=diffusers generator.path=models/sd images=10"
ARGUMENTS = """
prompts=FILE              JSON lines, CSV, TSV, Parquet or text; columns prompt, id, set, negative_prompt, seed
images=10                 pictures of each prompt
seed=0                    from which those of the pictures follow
share=1/4                 of several processes that generate in one folder, each with a GPU, which this one is
against=DIR               an earlier audit to compare with
output.dir=DIR            where all of it goes; audits/GENERATOR-PROMPTS if not given; for `compare` the second audit's
"""
SETTINGS = "generator dataset model policy policies engine filter job budget retry reuse"
WORDS = "compare *"

_COMPARE = "compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for: the command's own arguments, those of the generator, and those that `run` takes."""

    prompts: Path | None = None
    images: int = 10
    seed: int = 0
    share: tuple[int, int] = (0, 1)
    against: str | None = None
    folder: str | None = None
    generator: list[str] = field(default_factory=list)
    run: list[str] = field(default_factory=list)


def main(argv: list[str]) -> ExitCode:
    """Audit, or compare two audits.

    Raises:
        CurateError: with the exit code of its kind; whatever was finished stays and the next start goes on from it.
    """
    require_statistics()
    if argv[:1] == [_COMPARE]:
        return _compare(argv[1:])
    request = parse(argv)
    settings = compose_generator(request.generator)
    place = request.folder or f"audits/{named_after(settings, request.prompts)}"
    if request.against is not None:
        load_audit(request.against)
    store = open_store(place)
    if settings.name == FOLDER:
        outcomes, run = _judge_pictures(request, settings, place, store)
    else:
        outcomes, run = _generate_and_judge(request, settings, place, store)
    with phase("counting"):
        table = write_results(store, run, outcomes, _again(request, place))
    say("", *short(table), "", f"table       {store.uri('audit.md')}")
    if request.against is not None:
        _write_comparison(place, request.against, place)
    return ExitCode.DONE


def parse(argv: Sequence[str]) -> Request:
    """The arguments, told apart.

    Raises:
        InputError: one has no value, is no number, or is a word.
    """
    own: dict[str, str] = {}
    generator: list[str] = []
    run: list[str] = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        if not equals:
            raise InputError(f"{argument}: is no argument; `audit` takes NAME=VALUE, or compare A B")
        if name in ("prompts", "images", "seed", "share", "against", "output.dir"):
            if not value:
                raise InputError(f"{argument}: has no value")
            own[name] = path_of(value)
        else:
            (generator if key_of(argument).partition(".")[0] == "generator" else run).append(argument)
    return Request(
        prompts=Path(own["prompts"]) if "prompts" in own else None,
        images=_number("images", own.get("images", "10"), 1),
        seed=_number("seed", own.get("seed", "0"), 0),
        share=_share(own.get("share", "1/1")),
        against=own.get("against"),
        folder=own.get("output.dir"),
        generator=generator,
        run=run,
    )


def _generate_and_judge(
    request: Request, settings: GeneratorSettings, place: str, store: Store
) -> tuple[pl.DataFrame, Run]:
    keys = [key_of(one) for one in request.run]
    if any(key.partition(".")[0] == "dataset" and key != MOVED for key in keys):
        raise InputError("dataset: is what the generator makes; give one with generator=folder alone")
    if request.prompts is None:
        raise InputError(f"prompts: none were given, as in: python -m curate {EXAMPLE}")
    prompts = read_prompts(request.prompts)
    draws = Draws(
        prompts=prompts, images=request.images, seed=request.seed, samples_per_shard=settings.samples_per_shard
    )
    arguments = _run_arguments(request, place, ["+dataset=webdataset", f"dataset.shards={place}/images"])
    arguments += ["dataset.caption=prompt", "dataset.label=prompt_set"]
    if not any(key_of(one) == "budget.data" for one in arguments):
        arguments.append(f"budget.data={len(draws) + 1}")  # what was refused has no picture, however many these are
    check_judge(compose_settings(arguments))
    _generate(settings, draws, store, request)
    run_command.main(arguments)
    run = load_run(f"{place}/run")
    identity = identity_in(read_record(store) or {})
    return pl.concat([of_draws(run, policy, draws, identity) for policy in run.settings.passes]), run


def _generate(settings: GeneratorSettings, draws: Draws, store: Store, request: Request) -> None:
    make_generator(settings)  # what is missing is said here, not by a process
    generator = GeneratorProcess(settings)
    try:
        with phase("looking at the generator"):
            identity = generator.identity()
        begin(store, generating(draws, settings, identity, str(request.prompts)), draws.prompts)
        Generating(store, draws, generator, identity, settings.batch, request.share).run()
    finally:
        generator.close()


def _judge_pictures(
    request: Request, settings: GeneratorSettings, place: str, store: Store
) -> tuple[pl.DataFrame, Run]:
    given = any(key_of(one) == "dataset" for one in request.run)
    if not given and settings.path is None:
        raise InputError("generator.path: none was given; name where the pictures are")
    manifest = own_pictures.read_manifest(Path(settings.manifest)) if settings.manifest else {}
    prompts: list[Prompt] = read_prompts(request.prompts) if request.prompts else []
    path = settings.path or ""
    data = [] if given else [f"+dataset={own_pictures.preset_of(path)}", f"dataset.shards={path}"]
    arguments = _run_arguments(request, place, data)
    composed = compose_settings(arguments)
    check_judge(composed)
    begin_with_pictures(store, settings, composed.dataset.shards, prompts, request.prompts)
    run_command.main(arguments)
    run = load_run(f"{place}/run")
    default = Asked(prompt_id="", prompt_set="", prompt="", number=0, revision=settings.revision or "")
    tables = [own_pictures.of_pictures(run, policy, manifest, prompts, default) for policy in run.settings.passes]
    return pl.concat(tables), run


def _run_arguments(request: Request, place: str, data: Sequence[str]) -> list[str]:
    name = Path(place.rstrip("/")).name or "audit"
    named = [] if any(key_of(one) == "dataset.name" for one in request.run) else [f"dataset.name={name}"]
    return [*data, *named, f"output.dir={place}/run", *request.run]


def _again(request: Request, place: str) -> str:
    """The command that repeats an audit from its folder."""
    prompts = [] if request.prompts is None else [f"prompts={place}/prompts.parquet"]
    numbers = [f"images={request.images}", f"seed={request.seed}"] if prompts else []
    again = [*prompts, *numbers, *request.generator, *request.run, "output.dir=ANOTHER"]
    return without_secrets(shlex.join(["python", "-m", "curate", "audit", *again]))


def _compare(argv: Sequence[str]) -> ExitCode:
    places = [path_of(argument) for argument in argv if "=" not in argument]
    named = [argument.partition("=")[2] for argument in argv if argument.startswith("output.dir=")]
    if len(places) != 2 or len(places) + len(named) != len(argv):
        raise InputError("audit compare: takes the folders of two audits, and output.dir=DIR")
    _write_comparison(path_of(named[-1]) if named else places[1], *places)
    return ExitCode.DONE


def _write_comparison(folder: str, first: str, second: str) -> None:
    store = open_store(folder)
    found, files = write_comparison(store, first, second)
    say("", *short_comparison(found), "", *(f"comparison  {store.uri(name)}" for name in files))


def _number(name: str, text: str, least: int) -> int:
    if not text.isdecimal() or not least <= int(text) < 2**31:
        raise InputError(f"{name}={text}: give a whole number from {least} on")
    return int(text)


def _share(text: str) -> tuple[int, int]:
    """Which of how many, from 0."""
    which, slash, of = text.partition("/")
    if not slash or not which.isdecimal() or not of.isdecimal() or not 1 <= int(which) <= int(of) < 2**31:
        raise InputError(f"share={text}: give which one of how many it is, such as 1/4 to 4/4")
    return int(which) - 1, int(of)
