"""Law 7 and 5 over the whole folder: the recorded plan, nothing outside it counts, sound fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from curate.core.errors import InputError
from curate.judges.row_policies import FOLDER as POLICIES
from curate.runs.commits import commit_name
from curate.runs.fingerprint import Fingerprint
from curate.runs.plan import plan_from_bytes
from curate.runs.run_folder import PLAN, RUN
from curate.storage.store import Store
from curate.verification.evidence import Checked, Evidence, Finding, Law, Note
from curate.verification.folder import Folder


def check_plan_file(store: Store) -> Iterator[Evidence]:
    """The plan can be read and is what its hash says; without it there is nothing to hold the folder against."""
    try:
        plan_from_bytes(store.read(PLAN))
    except FileNotFoundError:
        yield Finding(Law.THE_PLAN, PLAN, "is not there")
    except InputError as error:
        yield Finding(Law.THE_PLAN, PLAN, str(error).removeprefix(f"{PLAN}: "))


def check_plan(folder: Folder) -> Iterator[Evidence]:
    """run.yaml and plan.parquet agree, and commits are those of planned shards."""
    plan = folder.run.plan
    yield Checked(Law.THE_PLAN, "planned shards", len(plan.shards))
    yield from _recorded(folder)
    for policy, shards in folder.committed.items():
        for shard in sorted(shards - folder.planned.keys()):
            yield Finding(Law.THE_PLAN, commit_name(policy, shard), "commits a shard that is not in the plan")
    for shard in (s.id for s in plan.shards if not folder.is_finished(s.id)):
        yield Note("unfinished shards, to be judged by the next run", shard)


def _recorded(folder: Folder) -> Iterator[Evidence]:
    """The plan is the one that run.yaml names; it is written first, so a kill may come between when it grows."""
    current, recorded = folder.run.plan.plan_hash, folder.plan_hashes[-1]
    if current == recorded:
        return
    if folder.finished:
        yield Finding(Law.THE_PLAN, RUN, f"plan_hashes end with {recorded}, that of {PLAN} is {current}")
    else:
        yield Note("a plan that was changed and not gone on with; the next run does", PLAN)


def check_fingerprints(folder: Folder) -> Iterator[Evidence]:
    """Each fingerprint is the hash of its parts, no policy has commits without one, and those of rows are whole."""
    for policy, fingerprint in folder.run.fingerprints.items():
        yield Checked(Law.ONE_FINGERPRINT, "policies")
        if _digest(fingerprint) != fingerprint.digest:
            yield Finding(Law.ONE_FINGERPRINT, RUN, f"fingerprints.{policy}: the digest is not that of the parts")
    yield from _own_policies(folder)
    for policy in folder.store.folders("commits"):
        if policy not in folder.run.fingerprints and folder.store.names(f"commits/{policy}"):
            yield Finding(Law.ONE_FINGERPRINT, f"commits/{policy}", f"{RUN} has no fingerprint of this policy")


def _own_policies(folder: Folder) -> Iterator[Evidence]:
    """The policies that rows brought are what the names of their files say."""
    for name in folder.store.names(POLICIES):
        yield Checked(Law.ONE_FINGERPRINT, "policies")
        if name not in folder.row_policies:
            yield Finding(Law.ONE_FINGERPRINT, f"{POLICIES}/{name}", "holds no policy, or one of another hash")


def _digest(fingerprint: Fingerprint) -> str:
    return hashlib.sha256(json.dumps(fingerprint.parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
