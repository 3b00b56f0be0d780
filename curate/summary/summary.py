"""What `run` ends with, on one screen: what was found, what failed and why, examples, where it lies, and what next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from rich.text import Text

from curate.console import layout
from curate.console.untrusted_text import one_line
from curate.core.types import PassedOver, Rating, Status
from curate.engines.dtype import AUTO
from curate.judges.row_policies import FOLDER as POLICIES
from curate.judges.row_policies import codes_of, read_policies
from curate.policies.policy import BY_ROW
from curate.runs.commits import Commit, commits_by_shard
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.disagreement import PAIRS_UP_TO, Disagreement, disagreements
from curate.runs.run_folder import Run
from curate.runs.shard_failures import count_failures, read_failures
from curate.sources.passed_over import in_words, together
from curate.summary.example_rows import example_rows
from curate.summary.examples import choose, pictures
from curate.summary.next_steps import next_steps
from curate.summary.unjudged import reasons, to_retry
from curate.telemetry.metrics_files import read_metrics
from curate.telemetry.throughput import pace_in_short

TOP_KINDS = 4
TOP_KINDS_EACH = 2
"""Where there are several policies."""
TOP_SHARDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenOptions:
    """How a summary is to be seen.

    Attributes:
        width: columns of the screen.
        pictures: whether it can show any.
        arguments: of the command that ran the job, for the one that goes on with it.
        differences: between the policies, where they were looked for already.
    """

    width: int = 80
    pictures: bool = False
    arguments: Sequence[str] = ()
    differences: Sequence[Disagreement] | None = None


@dataclass(slots=True)
class PassCounts:
    """Counts under one policy."""

    statuses: Counter[str] = field(default_factory=Counter)
    ratings: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    samples: int = 0
    passed_over: Mapping[str, PassedOver] = field(default_factory=dict)

    @classmethod
    def of(cls, commits: Iterable[Commit]) -> PassCounts:
        """Of all shards."""
        found = cls()
        for commit in commits:
            found.samples += commit.sample_count
            found.passed_over = together([found.passed_over, commit.passed_over])
            found.statuses.update(commit.statuses)
            found.ratings.update(commit.ratings)
            found.categories.update(commit.categories)
            found.reused += commit.reused
        return found

    @property
    def failed(self) -> int:
        """Pictures without a label, and samples without a picture."""
        return self.statuses.total() - self.statuses[Status.LABELLED]


def summary(run: Run, splits: Mapping[str, int], view: ScreenOptions | None = None) -> Iterator[Text]:
    """Rows for a person, 24 in a pipe where nothing is out of the ordinary.

    Reads every commit, and of annotations what three examples take; with several policies it goes through all of them
    once more, unless `view` knows what they differ in (see `disagreements`).

    Args:
        run: a finished run.
        splits: number of samples by split.
        view: how it is to be seen; None is a pipe.
    """
    view = view or ScreenOptions()
    commits = {policy: commits_by_shard(run.store, policy) for policy in run.settings.passes}
    found = {policy: PassCounts.of(of.values()) for policy, of in commits.items()}
    if view.pictures:  # a terminal, which has room
        yield Text()
    examples = choose(run.store, next(iter(commits.values())).values(), run.settings.dataset.caption)
    yield from _judged(run, found, view.width)
    for policy, counts in found.items():
        yield from _counts(run, policy, counts, view.width)
    yield from _differences(run, commits, view)
    yield from _unjudged(run, found, view.width)
    images = pictures(examples, run.plan.shards, run.settings.dataset) if view.pictures else {}
    yield from example_rows(examples, images, view.width)
    yield from layout.field("splits", _listed(splits, "   "), view.width)
    speed = pace_in_short(read_metrics(run.store))
    yield from layout.field("pace", speed, view.width) if speed else ()
    folder = run.settings.output.dir.rstrip("/")
    yield from layout.field("folder", f"{one_line(folder)}: README.md, splits/, annotations/, metrics/", view.width)
    scored = any(example.p_unsafe is not None for example in examples)
    yield from _next(run, splits, found, view, scored=scored)


def _judged(run: Run, found: Mapping[str, PassCounts], width: int) -> Iterator[Text]:
    """Who judged; and first of all what has to be known of that."""
    yield from layout.warning(run.settings.shown_model.warning, width)
    first = next(iter(found))
    dtype = run.fingerprints[first].parts.get("model.dtype", AUTO)
    form = "" if dtype == AUTO else f" in {dtype}"
    samples, rows = max((counts.samples, counts.statuses.total()) for counts in found.values())
    pictures = "" if rows == samples else f" with {rows} pictures"
    said = f"{_under(run)}: {samples} samples{pictures} judged by {run.settings.model.name}{form}"
    yield from layout.paragraph(Text(said, style="bold"), width)


def _under(run: Run) -> str:
    if run.settings.passes == (BY_ROW,):
        return f"each row under its own policy, {len(run.store.names(POLICIES))} of them"
    names = ", ".join(run.settings.passes)
    return f"policy {names}" if len(run.settings.passes) == 1 else f"policies {names}"


def _counts(run: Run, policy: str, found: PassCounts, width: int) -> Iterator[Text]:
    alone = len(run.settings.passes) == 1
    text = Text("   ").join(
        [
            Text(f"{found.ratings[Rating.SAFE]} Safe", style="green"),
            Text(f"{found.ratings[Rating.UNSAFE]} Unsafe", style="red"),
            Text(f"{found.failed} failed", style="yellow" if found.failed else ""),
        ]
    )
    if alone:
        yield from layout.field("found", text, width)
        kinds = _kinds(found.categories, _category_names(run, policy), TOP_KINDS)
        yield from layout.field("Unsafe as", kinds, width) if kinds else ()
    else:
        kinds = _kinds(found.categories, {}, TOP_KINDS_EACH)
        yield from layout.field(policy, text.append(f"   ({kinds})" if kinds else ""), width)
    if found.reused:
        said = f"{found.reused} of these labels, from identical pictures or earlier runs"
        yield from layout.field("reused", said, width)


def _category_names(run: Run, policy: str) -> Mapping[str, str]:
    return codes_of([run.settings.policies[policy]] if policy != BY_ROW else read_policies(run.store))


def _kinds(categories: Mapping[str, int], names: Mapping[str, str], most: int) -> str:
    """The most frequent kinds of unsafe samples, and how many more there are."""
    ordered = sorted(categories.items(), key=lambda item: (-item[1], item[0]))
    kinds = [f"{count} {code}{f': {names[code]}' if code in names else ''}" for code, count in ordered[:most]]
    rest = len(ordered) - most
    return one_line("; ".join([*kinds, *([f"and {rest} more kind{'s' if rest > 1 else ''}"] if rest > 0 else [])]))


def _differences(run: Run, commits: Mapping[str, Mapping[str, Commit]], view: ScreenOptions) -> Iterator[Text]:
    """Who finds Unsafe what another one finds Safe; the pairs that do so most."""
    if len(commits) < 2:
        return
    found = view.differences
    if found is None:
        found = disagreements(AnnotationFiles(run.store), commits)
    told = [_difference(one) for one in islice((d for d in found if d.samples), PAIRS_UP_TO)]
    said = "; ".join(told) or "nowhere: no sample is Unsafe under one policy and Safe under another"
    yield from layout.field("they differ", f"in {said}" if told else said, view.width)


def _difference(one: Disagreement) -> str:
    most = next(iter(one.categories), "")
    safe = one.safe_under or "another"
    return f"{one.samples} Unsafe under {one.unsafe_under} and Safe under {safe} (most of them {most})"


def _unjudged(run: Run, found: Mapping[str, PassCounts], width: int) -> Iterator[Text]:
    """Why samples have no label, and which shards are broken."""
    of_each = {policy: reasons(counts.statuses) for policy, counts in found.items()}
    alike = len({tuple(told) for told in of_each.values()}) == 1
    for policy, told in islice(of_each.items(), 1 if alike else None):
        label = "failed" if alike else f"failed under {policy}:"
        why = Text("; ".join(told), style="yellow").append("; see their detail", style="default")
        yield from layout.field(label, why, width, 4) if told else ()
    yield from _passed_over(next(iter(found.values())).passed_over, width)
    for failure in read_failures(run.store, TOP_SHARDS):
        said = one_line(f"{failure.shard} ({failure.url}): {failure.reason}")
        yield from layout.field("shard", Text(said, style="red"), width, 3)
    more = count_failures(run.store) - TOP_SHARDS
    if more > 0:
        yield from layout.field("", f"and {more} more shards: see failures/", width)


def _passed_over(found: Mapping[str, PassedOver], width: int) -> Iterator[Text]:
    """What in the sources is no part of any sample, or is not as it was meant to be."""
    for reason, one in found.items():
        yield from layout.field("noticed", Text(in_words(reason, one), style="yellow"), width, 3)


def _next(
    run: Run, splits: Mapping[str, int], found: Mapping[str, PassCounts], view: ScreenOptions, *, scored: bool
) -> Iterator[Text]:
    statuses = sum((counts.statuses for counts in found.values()), Counter[str]())
    broken, retry = count_failures(run.store), to_retry(statuses)
    steps = next_steps(run, splits, view.arguments, retry=retry, broken=broken, scored=scored)
    if not steps:
        return
    yield from layout.field("next", f"{'; '.join(steps)}:", view.width)
    yield from (Text(f"  {command}", style="cyan") for command in steps.values())


def _listed(counts: Mapping[str, int], between: str) -> str:
    return between.join(f"{name} {count}" for name, count in counts.items()) or "none"
