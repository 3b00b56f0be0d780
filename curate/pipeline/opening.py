"""From settings to an opened run: planned, fingerprinted, its folder checked; no engine is started."""

from __future__ import annotations

from curate.annotation.label_reuse import check_reuse
from curate.console.phases import phase
from curate.engines.dtype import AUTO, dtype_of_auto, settled
from curate.engines.factory import check_engine
from curate.filtering.calibrating import check_calibration
from curate.filtering.stage import check_settings, deciding_passes
from curate.judges.checkpoints import model_identity, sampled_identity
from curate.judges.questions import questions_in_general
from curate.runs.fingerprint import Fingerprint, fingerprint
from curate.runs.plan import make_plan
from curate.runs.run_folder import (
    BegunMeanwhile,
    Record,
    Run,
    open_run,
    read_record,
    recorded_dtype,
    recorded_row_names,
)
from curate.settings.run import Settings
from curate.storage.factory import open_store


def open_settings(settings: Settings) -> Run:
    """Plan, fingerprint, and open the run's folder; no engine is started.

    Raises:
        InputError: anything that can be known to be wrong before the engine starts.
    """
    try:
        return _open(settings)
    except BegunMeanwhile:
        return _open(settings)  # by another worker, whose number format is the run's now


def _open(settings: Settings) -> Run:
    check_settings(settings.filter, settings.dataset, settings.policies)
    check_engine(settings.model, settings.engine)
    store = open_store(settings.output.dir)
    recorded = read_record(store)
    settings = _settle_row_names(settle_dtype(settings, recorded), recorded)
    fingerprints = fingerprints_of(settings)
    check_calibration(settings.filter, fingerprints, deciding_passes(settings.filter, settings.passes))
    check_reuse(settings, fingerprints)
    with phase("listing the shards"):
        plan = make_plan(settings.dataset)
    return open_run(store, settings, plan, fingerprints, recorded)


def settle_dtype(settings: Settings, recorded: Record | None) -> Settings:
    """`settings` with the model's number format settled where it is left open: the run's own, else by this machine.

    Raises:
        InputError: see `curate.engines.dtype.settled`.
    """
    model, begun = settings.model, recorded_dtype(recorded, settings.passes)
    if model.dtype != AUTO:
        return settings
    model = settled(model, settings.engine) if begun is None else model.model_copy(update={"dtype": begun})
    return settings.model_copy(update={"model": model})


def _settle_row_names(settings: Settings, recorded: Record | None) -> Settings:
    """`settings` with rows named as the run began, and in full where it begins."""
    if settings.dataset.row_names is not None:
        return settings
    settled = {"row_names": "full" if recorded is None else recorded_row_names(recorded)}
    return settings.model_copy(update={"dataset": settings.dataset.model_copy(update=settled)})


def fingerprints_of(settings: Settings) -> dict[str, Fingerprint]:
    """The fingerprint of each pass, by its name."""
    model, engine = settings.model, settings.engine
    identity, sampled, own_dtype = model_identity(model), sampled_identity(model), dtype_of_auto(model, engine)
    return {
        question.policy: fingerprint(
            question, model, identity, engine, settings.dataset, own_dtype=own_dtype, sampled=sampled
        )
        for question in questions_in_general(settings)
    }
