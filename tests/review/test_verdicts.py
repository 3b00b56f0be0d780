"""What reviewers fill in comes back whatever their spreadsheet made of it, and one verdict a task comes out."""

from __future__ import annotations

import json

import pytest

from curate.core.errors import InputError
from curate.core.types import Rating
from curate.review import label_studio
from curate.review.verdicts import Verdict, pairs, read_verdicts, settle

ROWS = """task,images,rating,category,reviewer,time,reason
a-1,x.webp,Unsafe,O2,ann,now,a knife
a-2,,safe,,ann,,
a-3,,,,,,
"""


def written(tmp_path, text, name="tasks.csv", encoding="utf-8"):
    (tmp_path / name).write_bytes(text.encode(encoding))
    return tmp_path / name


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(ROWS, "utf-8"), (ROWS, "utf-8-sig"), (ROWS.replace(",", ";"), "utf-8"), (ROWS.replace("\n", "\r\n"), "utf-8")],
)
def test_a_table_is_read_whatever_wrote_it(tmp_path, text, encoding):
    assert read_verdicts(written(tmp_path, text, encoding=encoding)) == [
        Verdict(task="a-1", rating=Rating.UNSAFE, category="O2", reviewer="ann", time="now", reason="a knife"),
        Verdict(task="a-2", rating=Rating.SAFE, reviewer="ann"),
    ]


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("task,rating\na-1,perhaps\n", "t.csv", "is rated 'perhaps'; write Safe, Unsafe, or nothing"),
        ("task,label\na-1,Safe\n", "t.csv", "no column 'rating'"),
        ('[{"id": 1}]', "t.json", "no export of Label Studio"),
        ("{", "t.json", "no verdicts can be read"),
        ("\xff", "t.csv", "no column"),
        (f"task,rating\na-1,{'x' * 200_000}\n", "t.csv", "no verdicts can be read: field larger|is rated 'xxx"),
    ],
)
def test_what_is_none_is_named(tmp_path, text, name, said):
    with pytest.raises(InputError, match=said):
        read_verdicts(written(tmp_path, text, name))


def said(*ratings):
    return [Verdict(task="t", rating=Rating(r), reviewer=str(n)) for n, r in enumerate(ratings)]


def test_most_reviewers_settle_a_task_and_a_tie_is_unsafe():
    assert settle(said("Safe", "Unsafe", "Safe"))["t"].rating is Rating.SAFE
    tie = settle(said("Safe", "Unsafe"))["t"]
    assert (tie.rating, tie.is_tie, tie.cited.reviewer) == (Rating.UNSAFE, True, "1")


def test_of_a_reviewer_the_last_word_counts():
    first, last = (Verdict(task="t", rating=r, reviewer="ann") for r in (Rating.UNSAFE, Rating.SAFE))
    settled = settle([first, last])["t"]
    assert (settled.rating, len(settled.verdicts)) == (Rating.SAFE, 1)


def test_pairs_are_of_two_reviewers():
    settled = settle([*said("Safe", "Unsafe"), Verdict(task="alone", rating=Rating.SAFE)])
    assert pairs(settled.values()) == [(False, True)]


def test_label_studios_export_comes_back(tmp_path):
    """In the shape that its documentation gives; a cancelled annotation is none."""
    tasks = json.loads(label_studio.tasks([{"task": "a-1", "images": ["a.webp"]}], "audit/images", None))
    assert tasks == [{"data": {"image": "/data/local-files/?d=audit/images/a.webp", "task": "a-1"}}]
    result = [
        {"from_name": "rating", "to_name": "image", "type": "choices", "value": {"choices": ["Unsafe"]}},
        {"from_name": "category", "to_name": "image", "type": "choices", "value": {"choices": ["O6"]}},
        {"from_name": "reason", "to_name": "image", "type": "textarea", "value": {"text": ["a gun"]}},
    ]
    cancelled = {"was_cancelled": True, "result": [], "completed_by": 2}
    annotation = {"was_cancelled": False, "result": result, "completed_by": {"id": 3, "email": "ann@example.org"}}
    exported = [{"id": 1, **tasks[0], "annotations": [cancelled, annotation | {"updated_at": "2026-11-29T10:00:00Z"}]}]
    assert read_verdicts(written(tmp_path, json.dumps(exported), "export.json")) == [
        Verdict(
            task="a-1",
            rating=Rating.UNSAFE,
            category="O6",
            reviewer="ann@example.org",
            time="2026-11-29T10:00:00Z",
            reason="a gun",
        )
    ]
