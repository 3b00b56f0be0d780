"""Which objects are trained on and which are kept for measuring, decided by object and never by picture.

Some objects are wanted in the gold set by name. The others are drawn kind by kind in the order of their digests, so
that every kind is represented and nobody picks. Three sources are kept out of training whole: nothing else is drawn in
their styles.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from safeguard.kinds import KINDS, Role
from safeguard.labels import Label

Split = Literal["train", "dev", "gold", "style", "spare"]
"""train and dev; gold: objects never seen in training, in any style; style: objects seen in training, in styles never
seen; spare: of objects kept for measuring, but more than the gold set needs, or in the wrong style for dev."""

UNSEEN_STYLES = ("fluent-emoji-3d", "icon-park", "streamline-emojis")

WANTED_GOLD = frozenset(
    {"water gun", "kitchen knife", "cup of tea", "ambulance", "dagger", "revolver", "sake bottle", "whisky glass"}
)
"""The hard negatives that the safeguard is judged by, and unsafe objects that the unseen styles have as well."""

GOLD_SHARE: Mapping[Role, float] = {"unsafe": 0.18, "near": 0.09, "ordinary": 0.06}
"""Share of a kind's pictures whose objects are kept for the gold set beside the wanted ones, at most."""

DEV_SHARE: Mapping[Role, float] = {"unsafe": 0.06, "near": 0.04, "ordinary": 0.03}

GOLD_PER_OBJECT: Mapping[Role, int] = {"unsafe": 8, "near": 3, "ordinary": 2}
"""Pictures of one object in the gold set, at most; those in unseen styles first."""

_ARTICLES = ("a ", "an ", "the ")
_PLURALS = {"knives": "knife", "boxes": "box", "leaves": "leaf", "men": "man", "people": "person", "children": "child"}
_SAME = {"cocktail": "cocktail glass", "falling bomb": "bomb", "hand grenade": "grenade", "shot glass": "whisky glass"}


def without_article(name: str) -> str:
    """The name of an object in lower case, as "revolver" of "A revolver"."""
    bare = name.lower()
    for article in _ARTICLES:
        bare = bare.removeprefix(article)
    return bare


def object_group(name: str) -> str:
    """What counts as the same object, whatever its number: "crossed swords" are "a sword".

    Args:
        name: as in the labels, with its article.
    """
    bare = without_article(name).removeprefix("crossed ")
    *head, last = bare.split()
    if last in _PLURALS:
        last = _PLURALS[last]
    elif last.endswith("sses"):
        last = last.removesuffix("es")
    elif last.endswith("s") and not last.endswith(("ss", "us", "is")):
        last = last.removesuffix("s")
    singular = " ".join((*head, last))
    return _SAME.get(singular, singular)


def split_of(labels: Iterable[Label]) -> dict[tuple[str, str], Split]:
    """The split of every drawing by source and id."""
    labels = list(labels)
    splits = _object_splits(labels)
    by_group = defaultdict(list)
    for label in labels:
        by_group[object_group(label.object)].append(label)
    found: dict[tuple[str, str], Split] = {}
    for group, same in by_group.items():
        for rank, label in enumerate(sorted(same, key=_gold_order)):
            found[label.source, label.id] = _picture_split(splits[group], label, rank)
    return found


def _picture_split(of_object: Split, label: Label, rank: int) -> Split:
    unseen = label.source in UNSEEN_STYLES
    if of_object == "gold":
        return "gold" if rank < GOLD_PER_OBJECT[label.rule.role] else "spare"
    if unseen:
        return "style" if of_object == "train" else "spare"
    return of_object


def _object_splits(labels: list[Label]) -> dict[str, Split]:
    """By group. An object of several kinds is split once, with the first of them in the rule book."""
    of_kind: dict[str, dict[str, int]] = {kind: defaultdict(int) for kind in KINDS}
    home: dict[str, str] = {}
    for label in sorted(labels, key=lambda one: list(KINDS).index(one.kind)):
        group = object_group(label.object)
        of_kind[home.setdefault(group, label.kind)][group] += 1
    splits: dict[str, Split] = {}
    for kind, counts in of_kind.items():
        splits |= _drawn(counts, KINDS[kind].role)
    return splits


def _drawn(counts: Mapping[str, int], role: Role) -> dict[str, Split]:
    """Fill gold, then dev, up to their shares of the pictures; an object too large for what is left is passed over."""
    total = sum(counts.values())
    room: dict[Split, float] = {"gold": GOLD_SHARE[role] * total, "dev": DEV_SHARE[role] * total}
    splits: dict[str, Split] = {}
    for group in sorted(counts, key=lambda name: _digest(f"object\n{name}")):
        if group in WANTED_GOLD:
            splits[group] = "gold"
            continue
        splits[group] = next((split for split, left in room.items() if counts[group] <= left), "train")
        if splits[group] != "train":
            room[splits[group]] -= counts[group]
    return splits


def _gold_order(label: Label) -> tuple[bool, str]:
    return label.source not in UNSEEN_STYLES, _digest(f"picture\n{label.source}\n{label.id}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
