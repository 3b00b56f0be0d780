"""A small run, annotate and filter, over a store that fails at its Nth call; and what is left of it."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from pathlib import Path

from curate.core.errors import StorageFailed
from curate.pipeline.annotating import annotate
from curate.pipeline.filtering import run_filter
from curate.runs.plan import make_plan
from curate.runs.run_folder import Run, open_run, read_record
from curate.settings.job import JobSettings
from curate.sources.registry import SOURCES
from curate.storage.local_store import LocalStore
from curate.storage.retrying_store import RetryingStore
from curate.storage.store import Store
from curate.storage.transient_errors import Patience
from curate.testing.faulty_store import Fault, FaultyStore
from tests.support.jobs import write_tar
from tests.support.verification_cases import make_run

LEASE = 0.5
PATIENCE = Patience(total=0.05, first=0.001, longest=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault, and whether a run gets over it by itself; None where that depends on the call."""

    name: str
    errno: int
    after: bool = False
    lasting: bool = False
    passes: bool | None = False

    def at(self, call: int) -> Fault:
        """The fault at the Nth call."""
        return Fault(at=call, errno=self.errno, after=self.after, lasting=self.lasting)


KINDS = (
    Kind(name="time-out before the effect", errno=errno.ETIMEDOUT, passes=True),
    Kind(name="time-out after the effect", errno=errno.ETIMEDOUT, after=True, passes=True),
    Kind(name="input/output error", errno=errno.EIO, passes=None),
    Kind(name="disk full once", errno=errno.ENOSPC),
    Kind(name="disk full from then on", errno=errno.ENOSPC, lasting=True),
    Kind(name="connection lost from then on", errno=errno.ECONNRESET, lasting=True),
)


def plan_job(folder: Path) -> Run:
    """Two shards under two policies, with a broken picture and an empty one: planned, with a short lease."""
    shards = [
        write_tar(folder / "00000.tar", range(5), broken={3: b""}),
        write_tar(folder / "00001.tar", range(5, 9), broken={6: b"GIF89a"}),
    ]
    run = make_run(folder / "plan", shards, policies=("p", "q"))
    return replace(run, settings=run.settings.model_copy(update={"job": JobSettings(lease=LEASE)}))


def work(job: Run, store: Store) -> None:
    """The whole job in `store`, from its plan to its card."""
    settings = job.settings
    run = open_run(store, settings, make_plan(settings.dataset), job.fingerprints, read_record(store))
    annotate(run)
    run_filter(
        store, settings.filter, settings.dataset, run.plan.shards, settings.policies, SOURCES, model=settings.model
    )


def fail_once(job: Run, folder: Path, fault: Fault) -> tuple[bool, list[str]]:
    """One run that meets `fault`; whether it finished all the same (else it stopped cleanly), and its calls."""
    store = FaultyStore(LocalStore(folder), fault)
    try:
        work(job, RetryingStore(store, PATIENCE))
    except StorageFailed:
        return False, store.log
    return True, store.log


def is_measurement(call: str) -> bool:
    """Whether a call wrote what a worker measured: it is written again and again, so that a run gets over any fault."""
    return call.startswith(("replace metrics/workers/", "replace metrics/seconds/"))


def tables(folder: Path) -> dict[str, bytes]:
    """Every file that counts, by its place: annotations, splits and card."""
    of_the_filter = [*folder.glob("splits/**/*"), *folder.glob("tables/*"), folder / "README.md"]
    files = [*folder.glob("annotations/**/*"), *of_the_filter]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(files) if p.is_file()}


def leftovers(folder: Path) -> list[str]:
    """Files in progress that nobody will finish or delete."""
    return [p.relative_to(folder).as_posix() for p in folder.rglob(".tmp-*")]
