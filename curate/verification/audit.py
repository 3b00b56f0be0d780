"""The whole audit: folder-wide checks, then each shard of the plan under every policy, one shard at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from curate.core.errors import InputError, ShardUnreadable
from curate.core.types import ShardRef
from curate.runs.run_folder import RUN, Run, load_run
from curate.storage.factory import open_store
from curate.verification.cards import Pointer, check_cards, read_pointers
from curate.verification.commits import check_commit
from curate.verification.deciding import check_decisions
from curate.verification.evidence import Finding, Note
from curate.verification.folder import Folder, Judged, read_judged
from curate.verification.freshness import is_current
from curate.verification.leftovers import check_leftovers
from curate.verification.parts import check_parts
from curate.verification.placing import Placing
from curate.verification.plan import check_fingerprints, check_plan, check_plan_file
from curate.verification.report import Report
from curate.verification.reused import check_reused
from curate.verification.rows import RowsCheck
from curate.verification.sources import check_source
from curate.verification.split_files import Placed
from curate.verification.split_set import SplitSet, check_split_set, find_split_set
from curate.verification.totals import Totals

Watch = Callable[[Sequence[ShardRef]], Iterable[ShardRef]]
"""Hands the shards on one by one, e.g. to show how far the audit is."""

Load = Callable[[str | Path], Run]


def audit(path: str | Path, *, against_sources: bool, watch: Watch = iter, load: Load = load_run) -> Report:
    """Check every law on the run in `path`, finished or not; nothing is written.

    Args:
        path: the run's folder.
        against_sources: whether the sources are read again, which takes as long as reading all images.
        watch: passes the shards through.
        load: opens the run.

    Raises:
        InputError: there is no run.
    """
    store = open_store(path)
    report = Report()
    if store.exists(RUN):
        report.take(check_plan_file(store))
    if report.found:
        return report
    folder = Folder(load(path))
    pointers = read_pointers(store)
    splits = _folder_wide(folder, pointers, report)
    totals, rows = Totals(), RowsCheck(folder)
    for shard in watch(folder.run.plan.shards):
        _audit_shard(folder, shard, splits, totals, rows, report, against_sources=against_sources)
    report.take(rows.rest())
    report.take(totals.check(splits))
    return report


def _folder_wide(folder: Folder, pointers: Sequence[Pointer], report: Report) -> SplitSet | None:
    """Everything but the shards; the splits that count."""
    report.take(check_plan(folder))
    report.take(check_fingerprints(folder))
    report.take(check_parts(folder))
    report.take(check_cards(folder, pointers))
    found = find_split_set(folder, pointers)
    splits = found if isinstance(found, SplitSet) else None
    if isinstance(found, Finding | Note):
        report.take([found])
    report.take(check_leftovers(folder, splits))
    if splits is not None and not is_current(folder, splits):
        report.take(
            [Note("splits of earlier annotations, not checked; run `filter`, then `verify`", splits.manifest.name)]
        )
        return None
    if splits is not None:
        report.take(check_split_set(folder, splits))
    return splits


def _audit_shard(
    folder: Folder,
    shard: ShardRef,
    splits: SplitSet | None,
    totals: Totals,
    rows: RowsCheck,
    report: Report,
    *,
    against_sources: bool,
) -> None:
    read = [read_judged(folder, shard, policy) for policy in folder.judged(shard.id)]
    report.take(one for one in read if isinstance(one, Finding))
    judged = {one.policy: one for one in read if isinstance(one, Judged)}
    for one in judged.values():
        report.take(check_commit(folder, one))
        report.take(rows.take(one))
        report.take(check_reused(one))
    placed = None if splits is None else _place(folder, judged, splits, totals, report)
    if against_sources and judged:
        try:
            report.take(check_source(list(judged.values()), placed, folder.run.settings.dataset))
        except (ShardUnreadable, InputError) as error:
            report.unreadable[shard.id] = str(error)


def _place(
    folder: Folder, judged: Mapping[str, Judged], splits: SplitSet, totals: Totals, report: Report
) -> Mapping[int, Placed] | None:
    """Where the shard's samples are; None where it is in no split, which `totals` judges at the end."""
    deciding = [judged[policy] for policy in splits.policies if policy in judged]
    if not deciding or len(deciding) < len(splits.policies):
        return None
    placing = Placing(deciding)
    report.take(placing.check(folder.store, splits))
    report.take(check_decisions(folder, splits, deciding, placing.placed))
    totals.samples_in_splits += placing.found
    if deciding[0].shard.id in splits.files:
        report.take(placing.missing())
    elif deciding[0].table.num_rows:
        totals.unsplit.append(deciding[0].name)
    return placing.placed
