"""Measures any annotations against a gold set and writes metrics.json, evaluation.md, plots and filter rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from curate.cli.argument_hints import takes
from curate.cli.path_values import path_of, paths_of
from curate.console.output import say
from curate.core.calibration import Method
from curate.core.errors import ExitCode, InputError
from curate.evaluation.evaluate import Request, evaluate
from curate.evaluation.predictions import is_run
from curate.evaluation.report_md import score_table
from curate.evaluation.thresholds import Target

SUMMARY = "metrics of any annotations against a gold set"
EXAMPLE = "evaluate predictions=runs/mine gold=gold.csv recall=0.95"
ARGUMENTS = """
predictions=FILE_OR_DIR   a run's folder or URL, or a table; several (comma list or repeated) are compared to the first
gold=FILE_OR_DIR          a table, an image folder rating/category/image, or datasets:NAME
output.dir=DIR            where to write; beside the predictions if not given
policy=NAME               judge the rows of this policy, joined by key alone
recall=0.95               choose thresholds that reach this recall, and write them as filter files
cost_fn=5                 or those with the least total cost of missed images, of which one costs this
cost_fp=1                 and of falsely flagged images, of which one costs this
calibration=auto|isotonic|platt
                          how probabilities are calibrated
calibrated=true|false     choose thresholds on calibrated probabilities; the filter files carry the calibration
unlabelled=FILE_OR_DIR    estimate how much of these predictions' images is truly unsafe
"""
_METHODS: Mapping[str, Method | None] = {"auto": None, "isotonic": "isotonic", "platt": "platt"}
_KNOWN = tuple(takes(ARGUMENTS, "").own)


def main(argv: list[str]) -> ExitCode:
    """Evaluate, write the files, print the table.

    Raises:
        InputError: an argument or a file is wrong; one line.
    """
    request = parse(argv)
    _require_extra()
    assessments, written = evaluate(request)
    say(score_table(assessments), "", f"{request.folder}: {', '.join(path.name for path in written)}")
    return ExitCode.DONE


def parse(argv: Sequence[str]) -> Request:
    """The request behind `key=value` arguments; predictions may be repeated or a comma list.

    Raises:
        InputError: an argument is unknown, incomplete, no number, or missing.
    """
    given: dict[str, str] = {}
    predictions: list[str] = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        if key not in _KNOWN or not equals or not value:
            raise InputError(f"{argument}: not an argument of evaluate; give {', '.join(f'{k}=' for k in _KNOWN)}")
        if key == "predictions":
            predictions += paths_of(value)
        given[key] = path_of(value)
    if not predictions or "gold" not in given:
        raise InputError(f"evaluate: needs predictions= and gold=, as in: python -m curate {EXAMPLE}")
    if "unlabelled" in given and len(predictions) > 1:
        raise InputError("unlabelled: is corrected for the errors of one safeguard; give its predictions alone")
    target, on_calibrated = _target(given), _flag("calibrated", given)
    if on_calibrated and target is None:
        raise InputError("calibrated: says what thresholds are chosen on; give recall=, or cost_fn= and cost_fp=, too")
    beside = predictions[0] if is_run(predictions[0]) else str(Path(predictions[0]).parent)
    return Request(
        predictions=tuple(predictions),
        gold=given["gold"],
        folder=given.get("output.dir", beside),
        policy=given.get("policy"),
        target=target,
        method=_method(given.get("calibration", "auto")),
        on_calibrated=on_calibrated,
        unlabelled=given.get("unlabelled"),
    )


def _target(given: Mapping[str, str]) -> Target | None:
    costs = [key for key in ("cost_fn", "cost_fp") if key in given]
    if "recall" in given:
        recall = _number("recall", given["recall"])
        if costs or not 0 < recall <= 1:
            raise InputError(f"recall={given['recall']}: give a number above 0 and up to 1, and no costs beside it")
        return Target(recall=recall)
    if not costs:
        return None
    if len(costs) == 1:
        raise InputError(f"{costs[0]}: costs come in pairs; give both cost_fn= and cost_fp=")
    return Target(cost_fn=_cost("cost_fn", given), cost_fp=_cost("cost_fp", given))


def _cost(key: str, given: Mapping[str, str]) -> float:
    value = _number(key, given[key])
    if not 0 < value < float("inf"):
        raise InputError(f"{key}={given[key]}: a cost is a number above 0")
    return value


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{key}={text}: not a number") from error


def _flag(key: str, given: Mapping[str, str]) -> bool:
    text = given.get(key, "false")
    if text not in ("true", "false"):
        raise InputError(f"{key}={text}: give true or false")
    return text == "true"


def _method(text: str) -> Method | None:
    if text not in _METHODS:
        raise InputError(f"calibration={text}: choose one of {', '.join(_METHODS)}")
    return _METHODS[text]


def _require_extra() -> None:
    missing = [name for name in ("sklearn", "scipy", "matplotlib") if find_spec(name) is None]
    if missing:
        raise InputError(f"evaluate: {', '.join(missing)} not installed; pip install 'curate[tune]'")
