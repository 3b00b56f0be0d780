"""Law 1, 5 and 7: the annotation file is the one that its commit speaks of, judged as run.yaml and the plan say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from curate.core.types import Rating
from curate.runs.plan import is_version_of
from curate.verification.evidence import Checked, Evidence, Finding, Law, Note
from curate.verification.folder import Folder, Judged


def check_commit(folder: Folder, judged: Judged) -> Iterator[Evidence]:
    """One commit and its file."""
    yield Checked(Law.ONE_FATE, "commits")
    yield from _same_file(judged)
    yield from _same_counts(judged)
    yield from _same_fingerprint(folder, judged)
    yield from _same_inputs(folder, judged)
    for reason, one in judged.commit.passed_over.items():
        yield Note(f"shards with {reason}", f"{judged.shard.id} ({one.count}, {one.first})")
    if judged.commit.damage is not None:
        yield Note("damaged shards, of which the readable part is judged", judged.shard.id)


def _same_file(judged: Judged) -> Iterator[Evidence]:
    commit = judged.commit
    if (commit.shard, commit.policy) != (judged.shard.id, judged.policy):
        yield Finding(Law.ONE_FATE, judged.commit_name, f"speaks of shard {commit.shard}, policy {commit.policy}")
    if (commit.sha256, commit.file_bytes) != (judged.sha256, judged.file_bytes):
        yield Finding(
            Law.ONE_FATE,
            judged.name,
            f"is not the committed file: {judged.file_bytes} bytes, sha256 {judged.sha256[:12]}...; "
            f"committed were {commit.file_bytes} bytes, sha256 {commit.sha256[:12]}...",
        )


def _same_counts(judged: Judged) -> Iterator[Evidence]:
    table, commit = judged.table, judged.commit
    if commit.rows != table.num_rows:
        yield Finding(Law.ONE_FATE, judged.name, f"holds {table.num_rows} rows, its commit says {commit.rows}")
    if commit.samples not in (None, judged.samples):
        yield Finding(Law.ONE_FATE, judged.name, f"holds {judged.samples} samples, its commit says {commit.samples}")
    if commit.damage is not None and commit.damage.index != commit.sample_count:
        yield Finding(
            Law.ONE_FATE,
            judged.commit_name,
            f"breaks off after {commit.damage.index} samples, but has rows of {commit.sample_count}",
        )
    reused = table.num_rows - table["reused_from"].null_count
    if commit.reused != reused:
        yield Finding(Law.ONE_FATE, judged.commit_name, f"reused are {commit.reused} labels, in the file {reused}")
    unsafe = pc.equal(table["rating"], Rating.UNSAFE.value)
    for what, said, values in (
        ("statuses", commit.statuses, table["status"]),
        ("ratings", commit.ratings, table["rating"]),
        ("categories", commit.categories, table["category"].filter(unsafe)),
    ):
        counted = _counts(values)
        if counted != Counter(said):
            yield Finding(
                Law.ONE_FATE,
                judged.commit_name,
                f"{what} are {dict(said)}, in the file {dict(sorted(counted.items()))}",
            )


def _counts(values: pa.ChunkedArray) -> Counter[str]:
    """How often each value is there, nulls left out."""
    counts = pc.value_counts(values.drop_null())
    return Counter(dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)))


def _same_fingerprint(folder: Folder, judged: Judged) -> Iterator[Evidence]:
    yield Checked(Law.ONE_FINGERPRINT, "annotation files and their commits")
    expected = folder.run.fingerprints[judged.policy].digest
    for where, found in (
        (judged.name, judged.metadata.get("fingerprint")),
        (judged.commit_name, judged.commit.fingerprint),
    ):
        if found != expected:
            yield Finding(Law.ONE_FINGERPRINT, where, f"fingerprint {found}, but the run's is {expected}")


def _same_inputs(folder: Folder, judged: Judged) -> Iterator[Evidence]:
    """Judged is the version that is planned; older files carry the hash of a plan that was extended since."""
    planned, found = judged.shard.version, judged.metadata.get("shard_version")
    version = judged.commit.version
    if (version or "") != found:
        yield Finding(Law.THE_PLAN, judged.name, f"holds shard version {found!r}, its commit {version!r}")
    if not is_version_of(planned, version):
        yield Finding(Law.THE_PLAN, judged.commit_name, f"judged shard version {version!r}, planned is {planned!r}")
    for where, plan in ((judged.name, judged.metadata.get("plan_hash")), (judged.commit_name, judged.commit.plan_hash)):
        if plan not in folder.plan_hashes:
            yield Finding(Law.THE_PLAN, where, f"plan hash {plan} is of no plan that the run had")
