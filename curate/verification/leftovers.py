"""Law 8: what dead or living workers left behind, named so that nobody wonders; none of it counts."""

from __future__ import annotations

from collections.abc import Iterator

from curate.filtering.manifest import read_manifests
from curate.runs.claims import CLAIMS
from curate.storage.store import Store
from curate.verification.evidence import Checked, Evidence, Law, Note
from curate.verification.folder import Folder
from curate.verification.split_set import SplitSet

_WORK = ("work/parts", "work/kept")


def check_leftovers(folder: Folder, splits: SplitSet | None) -> Iterator[Evidence]:
    """Annotation files without a commit, claims, checkpoints of finished shards, files of earlier rules."""
    yield from _annotations(folder)
    yield from _claims(folder)
    yield from _work(folder)
    if splits is not None:
        for manifest in read_manifests(folder.store):
            if manifest.digest != splits.manifest.digest:
                yield Note("rule sets other than the one that counts; `filter` finishes or removes them", manifest.name)


def _annotations(folder: Folder) -> Iterator[Evidence]:
    for policy in folder.store.folders("annotations"):
        names = folder.store.names(f"annotations/{policy}")
        yield Checked(Law.NO_LEFTOVERS, "names of annotation files", len(names))
        committed = folder.committed.get(policy, frozenset())
        for name in names:
            if name.removesuffix(".parquet") not in committed:
                yield Note("annotation files without a commit do not count", f"annotations/{policy}/{name}")


def _claims(folder: Folder) -> Iterator[Evidence]:
    for name in folder.store.names(CLAIMS):
        shard = name.rsplit(".", 2)[0]
        if shard in folder.planned and folder.is_finished(shard):
            yield Note("claims of finished shards, of workers that died; nothing waits for them", f"{CLAIMS}/{name}")
        else:
            yield Note("claims of unfinished shards", f"{CLAIMS}/{name}")


def _work(folder: Folder) -> Iterator[Evidence]:
    for root in _WORK:
        for policy in folder.store.folders(root):
            for shard in _shards_in(folder.store, f"{root}/{policy}"):
                if shard in folder.committed.get(policy, ()):
                    yield Note("checkpoints of finished shards; work/ may be deleted", f"{root}/{policy}/{shard}")


def _shards_in(store: Store, folder: str) -> list[str]:
    """Shards that have something in `folder`: a file of their own, or a folder that is not empty."""
    files = [name.removesuffix(".parquet") for name in store.names(folder)]
    return [*files, *(shard for shard in store.folders(folder) if store.names(f"{folder}/{shard}"))]
