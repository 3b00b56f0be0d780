"""`review export`: draw samples of a run for people to look at. `review serve`: a page for looking at them, on this
machine alone. `review import`: take in what they say.

An audit is drawn at random from every split, says how much of `clean` is unsafe and how much of what was removed is
safe, and shows reviewers nothing of what the safeguard said. A triage list is what lies in `review`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from curate.cli.data_access import reached, split_access
from curate.cli.path_values import path_of
from curate.cli.run_argument import split_run
from curate.console.output import say
from curate.core.errors import ExitCode, InputError
from curate.review.drawing import Purpose
from curate.review.estimates import Rate, ReviewerErrors
from curate.review.exporting import Exported, export
from curate.review.importing import Imported, import_verdicts

SUMMARY = "let people look at a sample of a run, and take in what they say"
EXAMPLE = "review export output.dir=runs/laion_subset to=audit reviews=1000"
WORDS = "export serve import *"
ARGUMENTS = """
output.dir=DIR            the run's folder
to=DIR                    export: a new folder for the reviewers; serve: the folder
reviews=1000              export: how many samples to draw
purpose=audit|triage      export: a random sample of every split, or what lies in review
overlap=0.1               export: share that a second reviewer sees, too
seed=0                    export: of the draw
port=8200                 serve: where the page is
blur=true                 serve: pictures are blurred until they are asked for
sensitivity=1             import: how often reviewers call Unsafe what is unsafe, where that is known
specificity=1             import: how often they call Safe what is safe
dataset.moved={OLD: NEW}  export: where the data lie now, by where they lay
dataset.storage_options.KEY=VALUE
                          export: credentials, which a run's folder does not keep
"""
_EXPORT = {"to": "", "reviews": "1000", "purpose": "audit", "overlap": "0.1", "seed": "0"}
_SERVE = {"to": "", "port": "8200", "blur": "true"}
_IMPORT = {"sensitivity": "1", "specificity": "1"}


def main(argv: list[str]) -> ExitCode:
    """Export or import.

    Raises:
        InputError: an argument is wrong, there is nothing to draw from, or a file holds no verdicts.
    """
    actions = {"export": _export, "import": _import}
    if argv and argv[0] == "serve":
        _serve(argv[1:])
        return ExitCode.DONE
    if not argv or argv[0] not in actions:
        raise InputError(f"review: say what to do, one of export, serve, import, e.g. {EXAMPLE}")
    folder, rest = split_run(argv[1:])
    say(*actions[argv[0]](folder, rest))
    return ExitCode.DONE


def _export(place: str, arguments: Sequence[str]) -> Iterator[str]:
    access, rest = split_access(arguments)
    given, words = _split(rest, _EXPORT)
    if words or not given["to"]:
        raise InputError(f"review export: needs to=DIR, a new folder for the reviewers, as in: {EXAMPLE}")
    folder = Path(path_of(given["to"]))
    exported = export(
        reached(place, access),
        folder,
        purpose=_purpose(given["purpose"]),
        reviews=_whole("reviews", given["reviews"], least=1),
        overlap=_share("overlap", given["overlap"]),
        seed=_whole("seed", given["seed"], least=0),
    )
    yield from _exported(exported, folder, place)


def _exported(exported: Exported, folder: Path, place: str) -> Iterator[str]:
    second = f", {exported.second} of them for a second reviewer too (tasks-second.csv)" if exported.second else ""
    yield f"sample      {exported.name}: {exported.tasks} tasks{second}"
    taken = exported.drawn.rows["stratum"].value_counts().iter_rows()
    counts = {str(name): int(count) for name, count in taken}
    for kind in exported.drawn.kinds:
        yield f"  {counts.get(kind.name, 0):>9} of {kind.population} in {kind.name}"
    yield f"folder      {folder}: tasks.csv, label_studio.json, images/, and policy.txt, which says what to judge by"
    yield f"next        python -m curate review serve to={folder}"
    yield f"            python -m curate review import output.dir={place} {folder / 'verdicts-NAME.csv'}"


def _serve(arguments: Sequence[str]) -> None:
    """Until it is interrupted."""
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise InputError(f"review serve: {', '.join(missing)} not installed; pip install 'curate[serve]'")
    from curate.review.local_page import Desk, serve

    given, words = _split(arguments, _SERVE)
    if words or not given["to"]:
        raise InputError("review serve: needs to=DIR, the folder that `review export` wrote")
    desk = Desk(Path(path_of(given["to"])), blur=given["blur"] != "false")
    serve(desk, _whole("port", given["port"], least=1), lambda url: say(f"review at {url} (Ctrl-C ends it)"))


def _import(place: str, arguments: Sequence[str]) -> Iterator[str]:
    given, files = _split(arguments, _IMPORT)
    if not files:
        raise InputError(f"review import: name the files with verdicts: review import output.dir={place} tasks.csv")
    errors = ReviewerErrors(
        sensitivity=_share("sensitivity", given["sensitivity"]), specificity=_share("specificity", given["specificity"])
    )
    if errors.span <= 0:
        raise InputError("sensitivity, specificity: add up to 1 or less, as where reviewers guess; nothing can be told")
    for imported in import_verdicts(reached(place, []), [Path(path_of(file)) for file in files], errors):
        yield from _imported(imported, place)


def _imported(imported: Imported, place: str) -> Iterator[str]:
    looked_at, ties = len(imported.settled), sum(one.is_tie for one in imported.settled.values())
    against = f"{imported.against} against the safeguard"
    yield f"sample      {imported.name}: {looked_at} of {imported.tasks} tasks reviewed, {against}"
    if ties:
        yield f"            {ties} ties count as Unsafe; a third verdict settles them"
    if imported.leakage:
        yield f"clean       {_said(imported.leakage, 'unsafe')}"
    if imported.false_removals:
        yield f"removed     {_said(imported.false_removals, 'safe')}"
    if imported.agreement:
        one = imported.agreement
        yield f"agreement   {one.observed:.2f} over {one.n} tasks with two verdicts{_beyond_chance(one.kappa, one.ac1)}"
    yield f"overrides   python -m curate filter output.dir={place} filter.overrides={place}"


def _said(rate: Rate, wrong: str) -> str:
    unseen = f"; nobody has looked into {rate.unreviewed} of them" if rate.unreviewed else ""
    return (
        f"at most {_percent(rate.at_most)} {wrong} (95 %, {rate.reviewed} reviews, {rate.unsafe} {wrong}); estimate "
        f"{_percent(rate.rate)}, between {_percent(rate.low)} and {_percent(rate.high)}, of {rate.population}{unseen}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.1f} %"


def _beyond_chance(kappa: float | None, ac1: float | None) -> str:
    known = [f"{name} {value:.2f}" for name, value in (("kappa", kappa), ("AC1", ac1)) if value is not None]
    return f" ({', '.join(known)})" if known else ""


def _split(arguments: Sequence[str], defaults: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Settings of `defaults`, and what is none of them."""
    given, words = dict(defaults), []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in defaults:
            given[key] = value
        elif equals and not Path(argument).exists():
            raise InputError(f"{argument}: not an argument here; give {', '.join(f'{name}=' for name in defaults)}")
        else:
            words.append(argument)
    return given, words


def _purpose(text: str) -> Purpose:
    known: dict[str, Purpose] = {"audit": "audit", "triage": "triage"}
    if text not in known:
        raise InputError(f"purpose={text}: choose one of {', '.join(known)}")
    return known[text]


def _whole(key: str, text: str, *, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise InputError(f"{key}={text}: give a whole number from {least} on")
    return number


def _share(key: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{key}={text}: give a number from 0 to 1")
    return share
