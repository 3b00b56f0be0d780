"""Who judged, under which policy, and which rules split."""

from __future__ import annotations

from collections.abc import Iterator

from curate.judges.prompts import policy_hash, render_policy
from curate.policies.policy import BY_ROW
from curate.report.facts import Facts, PassFacts
from curate.report.shapes import Block, Figure, Pairs, Section, Table, Verbatim
from curate.report.words import SHORT, count, line, several_lines
from curate.settings.filter import FilterSettings


def judge(facts: Facts) -> Section:
    """Model, policies and rules."""
    run = facts.run
    model, engine = run.settings.model, run.settings.engine
    parts = run.fingerprints[facts.passes[0].name].parts
    pairs = [
        ("model", line(model.name)),
        ("revision", line(model.revision or "as it was found")),
        ("computed in", line(parts.get("model.dtype", "auto"))),
        ("engine", line(engine.name)),
        ("data set", line(run.settings.dataset.name)),
        ("rules", line(facts.rules.name)),
        ("splits written as", facts.rules.write),
    ]
    blocks: list[Block] = [Pairs(pairs=tuple(pairs)), Figure(table=_rules(facts.rules))]
    if facts.rules.by_category:
        blocks.append(Figure(table=_by_category(facts.rules)))
    blocks.append(Figure(table=_policies(facts)))
    blocks += _texts(facts)
    return Section(name="judge", title="Model, policy, thresholds", blocks=tuple(blocks))


def _rules(rules: FilterSettings) -> Table:
    at = rules.thresholds
    rows = [
        ("unsafe from p_unsafe", "the model's own rating" if at.unsafe is None else f"{at.unsafe:g}"),
        ("review from p_unsafe", "no band for review" if at.review is None else f"{at.review:g}"),
        ("calibration", "none" if rules.calibration is None else line(rules.calibration.method)),
        ("several policies", line(rules.policy or "the strictest decides")),
        *((f"split {line(name, SHORT)}", line(sql)) for name, sql in rules.splits.items()),
    ]
    return Table(
        caption="Thresholds and rules; the first rule that holds wins",
        header=("", "value"),
        rows=tuple(rows),
        texts=frozenset({"value"}),
    )


def _by_category(rules: FilterSettings) -> Table:
    rows = tuple(
        (line(code, SHORT), *("as above" if value is None else f"{value:g}" for value in (at.unsafe, at.review)))
        for code, at in rules.by_category.items()
    )
    return Table(
        caption="Thresholds of single categories", header=("category", "unsafe from", "review from"), rows=rows
    )


def _policies(facts: Facts) -> Table:
    header = ("policy", "categories", "enforced", "hash of its prompt", "fingerprint")
    return Table(
        caption="Policies that every sample was judged under",
        header=header,
        rows=tuple(_policy(one) for one in facts.passes),
        texts=frozenset(header[3:]),
    )


def _policy(one: PassFacts) -> tuple[str, ...]:
    if one.policy is None:
        name = "each row's own" if one.name == BY_ROW else line(one.name, SHORT)
        return name, count(len(one.names)), "", "", one.fingerprint[:16]
    categories = one.policy.categories.values()
    enforced = sum(category.enforced for category in categories)
    return (
        line(one.name, SHORT),
        count(len(categories)),
        count(enforced),
        policy_hash(one.policy)[:16],
        one.fingerprint[:16],
    )


def _texts(facts: Facts) -> Iterator[Verbatim]:
    for one in facts.passes:
        if one.policy is not None:
            yield Verbatim(
                title=f"What was asked under {line(one.name, SHORT)}", text=several_lines(render_policy(one.policy))
            )
