"""A storage that fails at any call costs time at most; CURATE_RELIABILITY=full fails at every call, CI at a share."""

from __future__ import annotations

import errno

import pytest

from curate.annotation import worker
from curate.runs import journal
from curate.storage.local_store import LocalStore
from curate.storage.retrying_store import RetryingStore
from curate.testing.faulty_store import Fault, FaultyStore
from curate.verification.audit import audit
from tests.support.scale_of_trials import full_or_share
from tests.support.storage_faults import KINDS, PATIENCE, fail_once, is_measurement, leftovers, plan_job, tables, work

STEP = full_or_share(1, 37)
NEVER = Fault(at=10**9, errno=errno.EIO)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return plan_job(tmp_path_factory.mktemp("job"))


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    """Checkpoints every two rows, and no second of waiting between looks for work."""
    monkeypatch.setattr(journal, "PART_ROWS", 2)
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.05)


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory):
    """Tables of a run that nothing happened to, and the calls that it made."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "PART_ROWS", 2)
        store = FaultyStore(LocalStore(folder), NEVER)
        work(job, RetryingStore(store, PATIENCE))
    return tables(folder), store.calls


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_whatever_call_fails_the_next_run_ends_in_the_same_tables(job, undisturbed, kind, tmp_path, record_property):
    expected, calls = undisturbed
    first = 1 + KINDS.index(kind) * STEP // len(KINDS)
    met = finished = 0
    for call in range(first, calls + 1, STEP):
        folder = tmp_path / str(call)
        done, log = fail_once(job, folder, kind.at(call))
        made = len(log)
        excused = kind.passes is None or (made >= call and is_measurement(log[call - 1]))
        assert excused or done == (kind.passes or made < call), f"call {call}"
        assert leftovers(folder) == [], f"call {call}"
        if not done:
            work(job, RetryingStore(LocalStore(folder), PATIENCE))
        assert tables(folder) == expected, f"call {call}"
        assert not audit(folder, against_sources=True).found, f"call {call}"
        met += made >= call
        finished += done and made >= call
    record_property("trials", met)
    print(f"\n{kind.name}: met at {met} calls of about {calls}, {finished} runs got over it; all tables the same")
