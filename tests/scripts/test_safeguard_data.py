"""The safeguard's data: labels obey the rule book, objects never cross splits, the gold set is what the labels say."""

import csv
import io
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.evaluation.gold import read_gold
from curate.policies.policy import load_policy
from curate.policies.prompt_import import parse_policy_text

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
GOLD = SCRIPTS / "safeguard" / "gold"

sys.path.insert(0, str(SCRIPTS))
import build_safeguard_gold  # noqa: E402
from drawings.archives import ARCHIVES  # noqa: E402
from drawings.origins import ORIGINS  # noqa: E402
from safeguard.kinds import KINDS, NA  # noqa: E402
from safeguard.labels import kept, read_labels  # noqa: E402
from safeguard.rows import key_of, template_of  # noqa: E402
from safeguard.split import GOLD_PER_OBJECT, UNSEEN_STYLES, WANTED_GOLD, object_group, split_of  # noqa: E402

POLICY = load_policy(yaml.safe_load((SCRIPTS.parent / "conf" / "policy" / "drawings.yaml").read_text(encoding="utf-8")))
LABELS = read_labels()
KEPT = kept(LABELS)


@pytest.fixture(scope="module")
def splits():
    return split_of(KEPT)


@pytest.fixture(scope="module")
def gold():
    return pq.read_table(GOLD / "gold.parquet").to_pylist()


def of_split(splits, *names):
    return [label for label in KEPT if splits[label.source, label.id] in names]


def groups(labels):
    return {object_group(label.object) for label in labels}


def test_labels_obey_the_rule_book():
    assert sorted(LABELS, key=lambda label: (label.source, label.id)) == LABELS
    assert len({(label.source, label.id) for label in LABELS}) == len(LABELS)
    for label in KEPT:
        assert label.touches == KINDS[label.kind].touches, label
        assert (label.rating == "Unsafe") == (label.touches != NA), label
        assert label.object == label.object.strip() != "", label
        assert label.author, label
    for label in LABELS:
        assert label.keep in ("yes", "no")
        assert (label.keep == "yes") == bool(label.kind), label
        assert label.keep == "yes" or label.note, label
        assert label.source in ORIGINS.keys() & ARCHIVES.keys()


def test_what_is_unsafe_is_forbidden_by_an_enforced_category_of_the_compact_policy():
    for kind in KINDS.values():
        if kind.role == "unsafe":
            assert POLICY.categories[kind.touches].enforced
            assert POLICY.categories[kind.touches].should_not
        else:
            assert kind.touches == NA


def test_there_is_enough_of_everything():
    roles = Counter(label.rule.role for label in KEPT)
    assert roles["unsafe"] >= 900
    assert roles["near"] >= 700
    assert len(KEPT) >= 3000


def test_no_object_is_on_both_sides(splits):
    measured = groups(of_split(splits, "gold"))
    assert measured.isdisjoint(groups(of_split(splits, "train", "dev", "style")))
    assert groups(of_split(splits, "dev")).isdisjoint(groups(of_split(splits, "train", "style")))
    assert groups(of_split(splits, "style")) <= {object_group(s.object) for s in KEPT} - measured


def test_unseen_styles_are_never_trained_on(splits):
    assert {label.source for label in of_split(splits, "train", "dev")}.isdisjoint(UNSEEN_STYLES)
    assert {label.source for label in of_split(splits, "style")} <= set(UNSEEN_STYLES)
    for role in ("unsafe", "near", "ordinary"):
        assert any(s.source in UNSEEN_STYLES and s.rule.role == role for s in of_split(splits, "gold"))


def test_the_gold_set_is_large_and_hard_enough(splits):
    labels = of_split(splits, "gold")
    roles = Counter(label.rule.role for label in labels)
    assert len(labels) >= 300
    assert roles["unsafe"] >= max(100, len(labels) / 3)
    assert roles["near"] >= len(labels) / 4
    assert groups(labels) >= WANTED_GOLD
    for (_, role), count in Counter((object_group(s.object), s.rule.role) for s in labels).items():
        assert count <= GOLD_PER_OBJECT[role]


def test_the_split_does_not_depend_on_the_order_of_the_labels(splits):
    assert split_of(reversed(KEPT)) == splits


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_objects_stay_together_whatever_the_labels(data):
    some = data.draw(st.lists(st.sampled_from(KEPT), min_size=1, max_size=60, unique_by=lambda s: (s.source, s.id)))
    some = [replace(label, object=data.draw(st.sampled_from(["a bow", "two bows", label.object]))) for label in some]
    splits = split_of(some)
    measured = groups(s for s in some if splits[s.source, s.id] == "gold")
    trained = groups(s for s in some if splits[s.source, s.id] in ("train", "dev", "style"))
    assert len(splits) == len(some)
    assert measured.isdisjoint(trained)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("crossed swords", "sword"),
        ("a sword", "sword"),
        ("throwing knives", "throwing knife"),
        ("champagne glasses", "champagne glass"),
        ("a wine glass", "wine glass"),
        ("a cactus", "cactus"),
        ("the Statue of Liberty", "statue of liberty"),
    ],
)
def test_number_and_article_do_not_make_another_object(name, group):
    assert object_group(name) == group


def test_gold_file_is_what_the_labels_say(gold, splits):
    labels = {key_of(label): label for label in of_split(splits, "gold")}
    assert [row["key"] for row in gold] == sorted(labels)
    for row in gold:
        label = labels[row["key"]]
        said = (row["rating"], row["category"], row["object"], row["kind"], row["template"], row["source"])
        true = (label.rating, label.touches, label.object, label.kind, template_of(label), label.source)
        assert said == true
        assert row["unseen_style"] == (label.source in UNSEEN_STYLES)
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("JPEG", (224, 224))
            assert len(set(picture.convert("L").resize((16, 16)).tobytes())) > 2, f"{row['key']} shows nothing"


def test_gold_pictures_are_few_and_attributed(gold):
    assert sum(path.stat().st_size for path in GOLD.iterdir()) <= 6 * 2**20
    with (GOLD / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    assert list(rows) == [row["key"] for row in gold]
    licences = (GOLD / "LICENSES.txt").read_text(encoding="utf-8")
    for row in rows.values():
        assert row["author"]
        assert row["source"].split(", npm")[0].split(", Debian")[0] in licences, row["source"]


def test_gold_rows_add_an_exception_for_every_unsafe_picture(gold, tmp_path, monkeypatch):
    out = tmp_path / "gold.parquet"
    monkeypatch.setattr(sys, "argv", ["build_safeguard_gold.py", str(out)])
    assert build_safeguard_gold.main() == 0
    rows = pq.read_table(out).to_pylist()
    exceptions = [row for row in rows if row["exception"]]
    unsafe = [row for row in gold if row["rating"] == "Unsafe"]
    assert len(rows) == len(gold) + len(unsafe)
    assert [row["key"] for row in exceptions] == [row["key"] for row in unsafe]
    assert len(exceptions) >= 100
    for text, codes in {row["policy"]: row["relaxed"] for row in rows}.items():
        policy = parse_policy_text(text, "gold")
        assert {code for code, c in policy.categories.items() if not c.enforced} == set(codes.split())
    read = read_gold(str(out))
    assert read.exceptions == "given"
    assert read.rows["exception"].sum() == len(exceptions)


def test_templates_leave_room_for_one_reason():
    for label in KEPT:
        assert template_of(label).count("{reason}") == 1
        assert label.object in template_of(label)


def test_images_are_described_for_datasets():
    described = json.loads(pq.read_schema(GOLD / "gold.parquet").metadata[b"huggingface"])
    assert described["info"]["features"]["image"] == {"_type": "Image"}
