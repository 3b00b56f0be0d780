"""Pictures that come again in a shard: they take the label of the first that has one, under the same policy.

Who is first depends on the order of the samples alone. Each occurrence of the same bytes waits for what
came of the one before it; where that has no label (the engine failed), it is judged and may be the first itself. A run
that goes on after a kill counts the rows it finds as occurrences, so that it ends in the same rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from curate.core.types import Annotation, Sample, Status

REMEMBERED = 2**15
"""Different pictures of a shard whose labels are kept, the first ones: some 30 MB of labels with rationales."""


class Occurrence:
    """One sample among those with the same bytes."""

    def __init__(self, before: Occurrence | None) -> None:
        self._before = before
        self._settled = asyncio.Event()
        self._label: Annotation | None = None

    async def first_labelled(self) -> Annotation | None:
        """The first row with a label among the samples before this one, once they are judged."""
        if self._before is None:
            return None
        await self._before._settled.wait()
        return self._before._label

    def settle(self, row: Annotation) -> None:
        """Let those behind go on: this is the sample's row, judged or repeated; all before it are settled."""
        first = None if self._before is None else self._before._label
        self._label = first or (replace(row, meta="{}") if row.status is Status.LABELLED else None)
        self._before = None
        self._settled.set()


class DuplicateIndex:
    """The occurrences of a shard's pictures under one policy, to be asked for in the order of the samples.

    Args:
        rows: what the shard's first samples have come to already.
    """

    def __init__(self, rows: Iterable[Annotation] = ()) -> None:
        self._last: dict[tuple[bytes, str], Occurrence] = {}
        for row in rows:
            self.occurrence(row.sha256, row.policy).settle(row)

    def occurrence(self, sha256: str | None, policy: str) -> Occurrence:
        """That of the next sample, by the digest of its image and the policy it is judged under."""
        if sha256 is None:
            return Occurrence(None)
        key = (bytes.fromhex(sha256), policy)
        occurrence = Occurrence(self._last.get(key))
        if key in self._last or len(self._last) < REMEMBERED:
            self._last[key] = occurrence
        return occurrence


class Label(NamedTuple):
    """A row with a label, and where it is, as the column `reused_from` names it."""

    row: Annotation
    place: str


def relabelled(label: Label, sample: Sample, shard: str, meta: str, detail: str | None) -> Annotation:
    """The row of a sample with the same bytes as that of `label`, which costs nothing.

    Args:
        label: what is taken over.
        sample: has the same bytes.
        shard: which `sample` is in.
        meta: of `sample`, as it stands in its row.
        detail: what of `sample` the label does not speak of.
    """
    return replace(
        label.row,
        key=sample.key,
        shard=shard,
        index=sample.index,
        image_name=sample.part,
        meta=meta,
        detail=detail,
        reused_from=label.place,
        prompt_tokens=0,
        cached_tokens=0,
        output_tokens=0,
    )
