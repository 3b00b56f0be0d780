"""Everything that a report says, as numbers and rows, before anything is worded or drawn: one pass over the rows.

`compare`, `review` and a terminal can show the same facts in their own way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from curate.core.errors import InputError
from curate.core.types import PassedOver, Rating, Status
from curate.filtering.overrides import kept_overrides
from curate.filtering.rules import Rules, compile_rules
from curate.filtering.stage import deciding_passes
from curate.judges.row_policies import read_policies
from curate.policies.policy import BY_ROW, Policy
from curate.report.examples import Example, examples_at
from curate.report.ledger import Ledger, Splitting
from curate.report.pace import Pace, read_pace
from curate.report.pictures import with_pictures
from curate.report.reading_rows import Reader, Window
from curate.report.reviews import Audit, read_audit
from curate.report.scores import Evaluation, read_evaluation
from curate.report.tallies import Drawn, Expected, Nearest, Probabilities, Removed, Sizes, Tradeoff, Values, spread
from curate.runs.commits import Commit, commits_by_shard
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.disagreement import Disagreement, disagreements
from curate.runs.run_folder import Run
from curate.runs.shard_failures import ShardFailure, count_failures, read_failures
from curate.settings.filter import FilterSettings
from curate.sources.passed_over import together

HALF = 0.5
"""Where rows lie nearest to, where the model's own rating decides and no threshold does."""
NEAR = 12
EACH = 6
"""Samples of each rating and category, and of each reason; with several policies half as many of each."""
MOST = 400
"""Of these, over all policies."""
HOSTS = 15
SAMPLED_ROWS = 1_500_000
"""Rows whose sidecars are read: of a larger run every so many shards."""
BROKEN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PassFacts:
    """What came of all samples under one policy.

    Attributes:
        statuses, ratings: rows by these.
        categories: Unsafe rows by code, the most first.
        names: of the categories, by code.
        probabilities: labelled rows by p_unsafe.
        policy: what it says; None where each row has its own.
    """

    name: str
    fingerprint: str
    statuses: Mapping[str, int]
    ratings: Mapping[str, int]
    categories: Mapping[str, int]
    names: Mapping[str, str]
    samples: int
    rows: int
    reused: int
    probabilities: Probabilities
    policy: Policy | None
    examples: tuple[Example, ...] = ()
    failures: tuple[Example, ...] = ()
    nearest: tuple[Example, ...] = ()

    @property
    def failed(self) -> int:
        """Rows without a label."""
        return self.rows - self.statuses.get(Status.LABELLED.value, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Samples and removed ones by the host of their link.

    Attributes:
        seen: samples that were looked at.
        whole: whether these are all.
    """

    top: Mapping[str, Removed]
    seen: int
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A run.

    Attributes:
        run: its settings, its plan.
        rules: those that split it, or would.
        splitting: what they came to; None where nothing was filtered yet.
        deciding: the policies whose rows decide.
        passes: by policy, in the order of the settings.
        finished: shards that are judged under every policy.
        passed_over: what in the sources is no part of any sample.
        broken, broken_count: shards that could not be read, or not to their end; the first ones, and how many.
        threshold: what rows are near to.
        tradeoff: None where nothing is scored, or the rules cannot be held against other thresholds.
        expected: what the safeguard expects of clean.
        hosts: None where the data set has no links.
        audit: what people say of the splits; None where nobody has looked.
    """

    run: Run
    rules: FilterSettings
    splitting: Splitting | None
    deciding: Sequence[str]
    passes: tuple[PassFacts, ...]
    finished: int
    passed_over: Mapping[str, PassedOver]
    broken: Sequence[ShardFailure]
    broken_count: int
    threshold: float
    tradeoff: Tradeoff | None
    expected: Expected
    sizes: Sizes
    hosts: Hosts | None
    differences: Sequence[Disagreement]
    pace: Pace | None
    evaluation: Evaluation | None
    audit: Audit | None = None

    @property
    def first(self) -> PassFacts:
        """The first policy that decides."""
        return next(one for one in self.passes if one.name == self.deciding[0])

    @property
    def scored(self) -> bool:
        """Whether any row has a probability."""
        return any(cells.sum() for one in self.passes for cells in one.probabilities.cells.values())


@dataclass(slots=True, kw_only=True)
class _Tallies:
    """Of one policy, while rows come."""

    probabilities: Probabilities
    nearest: Nearest
    drawn: Drawn
    failures: Drawn

    def take(self, shard: str, rows: pl.DataFrame) -> None:
        self.probabilities.take(rows)
        self.nearest.take(shard, rows)
        self.drawn.take(shard, rows)
        self.failures.take(shard, rows)


def gather(run: Run, *, plain: bool) -> Facts:
    """Read a run's folder once.

    Args:
        run: with its data reached as they can be.
        plain: whether pictures are shown as they are.

    Raises:
        InputError: nothing is judged yet.
    """
    passes = run.settings.passes
    commits = {policy: commits_by_shard(run.store, policy) for policy in passes}
    if not any(commits.values()):
        raise InputError(f"output.dir={run.store.uri('')}: no shard is judged yet; start `run` before `report`")
    splitting = Splitting.of(run)
    rules = run.settings.filter if splitting is None else splitting.rules
    deciding = deciding_passes(rules, passes)
    threshold = HALF if rules.thresholds.unsafe is None else rules.thresholds.unsafe
    files, ledger = AnnotationFiles(run.store), Ledger(run.store, splitting)
    reader = Reader(files, commits, deciding, _rules(run, rules), ledger)
    each = EACH if len(passes) == 1 else EACH // 2
    tallies = {policy: _tallies(threshold, each) for policy in passes}
    tradeoff, expected, sizes = Tradeoff(), Expected(), Sizes()
    for window in reader.windows():
        _take(window, tallies)
        tradeoff.take(window.samples)
        expected.take(window.samples)
        sizes.take(window.samples)
    facts = Facts(
        run=run,
        rules=rules,
        splitting=splitting,
        deciding=deciding,
        passes=tuple(_pass(run, name, commits[name], tallies[name], reader) for name in passes),
        finished=len(set.intersection(*(set(of) for of in commits.values()))),
        passed_over=together(commit.passed_over for commit in commits[passes[0]].values()),
        broken=read_failures(run.store, BROKEN),
        broken_count=count_failures(run.store),
        threshold=threshold,
        tradeoff=tradeoff,
        expected=expected,
        sizes=sizes,
        hosts=_hosts(run, reader, commits[passes[0]]),
        differences=_differences(splitting, files, commits),
        pace=read_pace(run.store),
        evaluation=read_evaluation(run.store),
        audit=read_audit(run.store, splitting.result.digest if splitting else None),
    )
    return _with_pictures(facts, plain=plain)


def _rules(run: Run, settings: FilterSettings) -> Rules:
    return compile_rules(settings, None).with_overrides(kept_overrides(run.store, settings))


def _tallies(threshold: float, each: int) -> _Tallies:
    labelled = pl.col("status") == Status.LABELLED.value
    told = labelled | (pl.col("status") == Status.BLOCKED.value)  # of what is blocked nothing is shown but the number
    kind = pl.format("{}\n{}", "rating", pl.col("category").fill_null(""))
    return _Tallies(
        probabilities=Probabilities(),
        nearest=Nearest(threshold, NEAR),
        drawn=Drawn(pl.when(labelled).then(kind), each),
        failures=Drawn(pl.when(~told).then(pl.col("status")), each),
    )


def _take(window: Window, tallies: Mapping[str, _Tallies]) -> None:
    for policy, rows in window.rows.items():
        tallies[policy].take(window.shard, rows)


def _pass(run: Run, name: str, commits: Mapping[str, Commit], tallies: _Tallies, reader: Reader) -> PassFacts:
    counts = {which: Counter[str]() for which in ("statuses", "ratings", "categories")}
    for commit in commits.values():
        for which, counted in counts.items():
            counted.update(getattr(commit, which))
    own = run.settings.policies.get(name)
    known = [own] if own is not None else [*read_policies(run.store)]
    categories = dict(sorted(counts["categories"].items(), key=lambda item: (-item[1], item[0])))
    dataset, most = run.settings.dataset, max(1, MOST // len(run.settings.passes))
    return PassFacts(
        name=name,
        fingerprint=run.fingerprints[name].digest,
        statuses=counts["statuses"],
        ratings={rating.value: counts["ratings"][rating.value] for rating in Rating},
        categories=categories,
        names={code: category.name for policy in known for code, category in policy.categories.items()},
        samples=sum(commit.sample_count for commit in commits.values()),
        rows=sum(commit.rows for commit in commits.values()),
        reused=sum(commit.reused for commit in commits.values()),
        probabilities=tallies.probabilities,
        policy=None if name == BY_ROW else own,
        examples=examples_at(reader, name, spread(tallies.drawn.places(), most), dataset),
        failures=examples_at(reader, name, tallies.failures.places(), dataset),
        nearest=examples_at(reader, name, tallies.nearest.places(), dataset),
    )


def _hosts(run: Run, reader: Reader, commits: Mapping[str, Commit]) -> Hosts | None:
    """Of every shard, or of every so many, evenly over the plan."""
    field = run.settings.dataset.url
    if field is None:
        return None
    rows = sum(commit.sample_count for commit in commits.values())
    step = max(1, -(-rows // SAMPLED_ROWS))
    values = Values()
    for shard in sorted(commits)[::step]:
        host = pl.col("link").str.extract(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\.)?([^/?#:]+)")
        values.take(reader.fields(shard, {"link": field}).with_columns(value=host.str.to_lowercase().str.slice(0, 80)))
    top = values.top(HOSTS)
    return Hosts(top=top, seen=values.seen, whole=values.seen == rows) if top else None


def _differences(
    splitting: Splitting | None, files: AnnotationFiles, commits: Mapping[str, Mapping[str, Commit]]
) -> Sequence[Disagreement]:
    if len(commits) < 2:
        return ()
    if splitting is not None and splitting.result.differences:
        return [Disagreement(**one) for one in splitting.result.differences]
    return disagreements(files, commits)


def _with_pictures(facts: Facts, *, plain: bool) -> Facts:
    """All pictures at once, so that each shard is read once."""
    run = facts.run
    all_examples = [one for of in facts.passes for one in (*of.examples, *of.failures, *of.nearest)]
    seen = iter(with_pictures(all_examples, run.plan.shards, run.settings.dataset, plain=plain))
    passes = []
    for of in facts.passes:
        examples = tuple(next(seen) for _ in of.examples)
        failures = tuple(next(seen) for _ in of.failures)
        nearest = tuple(next(seen) for _ in of.nearest)
        passes.append(replace(of, examples=examples, failures=failures, nearest=nearest))
    return replace(facts, passes=tuple(passes))
