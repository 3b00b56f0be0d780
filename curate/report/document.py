"""From facts to a document: every section that has something to say."""

from __future__ import annotations

from curate.report.facts import Facts
from curate.report.sections import SECTIONS
from curate.report.shapes import Document
from curate.report.words import count, line, percent


def document_of(facts: Facts, made_by: str, mark: str, *, images: bool) -> Document:
    """The report of a run.

    Args:
        facts: of it.
        made_by: versions and time, for its foot.
        mark: tells what it is a report of.
        images: whether pictures are shown as they are.
    """
    run = facts.run
    sections = tuple(section for one in SECTIONS if (section := one(facts)) is not None)
    kind = "with pictures as they are: do not pass it on" if images else "what may be unsafe is a mosaic"
    return Document(
        title=f"{line(run.settings.dataset.name, 80)}, curated",
        subtitle=_subtitle(facts),
        warning=line(run.settings.shown_model.warning) if run.settings.shown_model.warning else None,
        sections=sections,
        foot=f"{made_by}; {kind}. One file, without scripts; it loads nothing.",
        mark=mark,
    )


def _subtitle(facts: Facts) -> str:
    policies = ", ".join(line(one.name, 40) for one in facts.passes)
    of = f"{count(facts.first.samples)} samples, judged by {line(facts.run.settings.model.name, 60)} under {policies}"
    if facts.splitting is None:
        return f"{of}; not split yet"
    result = facts.splitting.result
    kept = result.samples - result.removed
    return f"{of}; {count(kept)} in clean ({percent(kept / result.samples) if result.samples else 'none'})"
