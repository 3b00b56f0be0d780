"""What has no label, by reason, with examples."""

from __future__ import annotations

from curate.core.types import Status
from curate.report.examples import Example
from curate.report.facts import Facts, PassFacts
from curate.report.shapes import Bars, Block, Figure, Prose, Role, Section, Series, Table
from curate.report.words import SHORT, count, line, share

HELP = {
    Status.MISSING_IMAGE: "the source has no picture there",
    Status.UNDECODABLE: "broken data",
    Status.UNSUPPORTED_FORMAT: "a format that is not read",
    Status.TOO_MANY_BYTES: "dataset.max_bytes is the limit",
    Status.TOO_MANY_PIXELS: "dataset.max_pixels is the limit",
    Status.BLOCKED: "on a list; nothing of it is shown",
    Status.INVALID_POLICY: "the row's own policy cannot be asked",
    Status.REJECTED_BY_ENGINE: "retry=[rejected_by_engine] asks again",
    Status.INVALID_OUTPUT: "retry=[invalid_output] asks again",
    Status.ENGINE_FAILURE: "retry=[engine_failure] asks again",
}


def failures(facts: Facts) -> Section:
    """Under each policy where they differ."""
    told = [one for one in facts.passes if one.failed]
    if not told:
        text = "Every picture has a label."
        return Section(name="failures", title="What was not judged", blocks=(Prose(text=text),))
    alike = len({tuple(sorted(_counts(one).items())) for one in facts.passes}) == 1
    blocks: list[Block] = [Prose(text="What was not judged is in failed, whatever the rules say, and never in clean.")]
    for one in told[:1] if alike else told:
        if not alike:
            blocks.append(Prose(text=f"Under {line(one.name, SHORT)}:"))
        blocks.append(Figure(table=_table(one), chart=_chart(one)))
        if one.failures:
            blocks.append(Figure(table=_examples(one.failures)))
    return Section(name="failures", title="What was not judged", blocks=tuple(blocks))


def _counts(one: PassFacts) -> dict[str, int]:
    counts = {status: number for status, number in one.statuses.items() if status != Status.LABELLED.value and number}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _table(one: PassFacts) -> Table:
    rows = tuple(
        (status, count(number), share(number, one.rows), HELP.get(Status(status), ""))
        for status, number in _counts(one).items()
    )
    header = ("reason", "pictures", "of all", "what it means")
    return Table(caption="Without a label, by reason", header=header, rows=rows, texts=frozenset({"what it means"}))


def _chart(one: PassFacts) -> Bars:
    counts = _counts(one)
    series = Series(name="without a label", role=Role.FAILED, values=tuple(counts.values()))
    return Bars(
        says="Bars of how many pictures have no label, by reason",
        axis="pictures",
        labels=tuple(counts),
        series=(series,),
    )


def _examples(examples: tuple[Example, ...]) -> Table:
    rows = tuple(
        (line(one.status), line(one.key, 80), line(one.shard, 60), str(one.index), line(one.detail or ""))
        for one in examples
    )
    header = ("reason", "key", "shard", "index", "detail")
    return Table(
        caption="Examples of each", header=header, rows=rows, texts=frozenset({"key", "shard", "detail"}), folded=True
    )
