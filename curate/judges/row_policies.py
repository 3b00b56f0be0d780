"""Rows that bring their own policy (`dataset.policy_column`): what each is asked, and how the run keeps what it asked.

A row's field holds the whole text of a policy or the name of one that the run knows. Its annotation names the policy:
the name, or "text-", a digest of the words and one of the text: what is laid out differently is asked differently, and
a label of one is none of the other. The policy itself is kept as policies/<name>-<hash of its prompt>.json before
anything is asked under it, so that labels can be held against the categories they came from. A name is never taken for
a path: data sets do not choose which files of a machine are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError

from curate.core.errors import InputError
from curate.core.types import Failure, Question, Sample, Status, Unaskable
from curate.judges.prompts import policy_hash
from curate.policies.policy import BY_ROW, Policy
from curate.policies.prompt_import import parse_policy_text
from curate.storage.store import Store

FOLDER = "policies"
_REMEMBERED = 1024
_SHOWN = 60
_TEXT_NAME = re.compile(r"(?P<wording>text-[0-9a-f]{12})-[0-9a-f]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowQuestion:
    """What is asked where each row names its policy; hashed into the fingerprint as a `Question` is.

    Attributes:
        policy: BY_ROW.
        column: the field with the row's policy; the policy itself is a part of the data, as the picture is.
        named: hash of the prompt of each policy that a row may name.
        rationale, rationale_above, rationale_chars, category_scores: as in `Question`.
    """

    policy: str = BY_ROW
    column: str
    named: Mapping[str, str]
    rationale: str
    rationale_above: float | None
    rationale_chars: int
    category_scores: bool = False


def policy_name(text: str) -> str | None:
    """Short name of a policy: a name stays as it is; a policy's full text becomes "text-WORDS-TEXT", two digests."""
    name = text.strip()
    if "\n" not in name:
        return name or None
    return f"text-{_digest(' '.join(text.split()))[:12]}-{_digest(text)[:6]}"


def wording(name: str) -> str:
    """What the names of texts have in common that differ in white space alone; other names as they are."""
    text = _TEXT_NAME.fullmatch(name)
    return text["wording"] if text else name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def policy_of(sample: Sample, column: str) -> str:
    """The name of the policy in a sample's field `column`; "" where there is none."""
    value = sample.meta.get(column)
    return (policy_name(value) or "") if isinstance(value, str) else ""


class RowPolicies:
    """What each sample is asked, by its own policy.

    Args:
        store: the run's folder, which keeps the policies.
        column: the field with the row's policy.
        named: the policies that a row may name.
        ask: the question under a policy.
    """

    def __init__(
        self, store: Store, column: str, named: Mapping[str, Policy], ask: Callable[[Policy], Question]
    ) -> None:
        self._store = store
        self._column = column
        self._named = named
        self._ask = ask
        # Rows of one policy come in their thousands; a data set in which every row differs must not fill the memory.
        self._remembered = lru_cache(_REMEMBERED)(self._question)

    def __call__(self, sample: Sample) -> Mapping[str, Question | Unaskable]:
        """The one pass, BY_ROW, and what `sample` is asked in it. Writes to the store, so keep it off an event loop."""
        name, value = policy_of(sample, self._column), sample.meta.get(self._column)
        if not name or not isinstance(value, str):
            return {BY_ROW: _unaskable(name, self._missing(sample))}
        try:
            return {BY_ROW: self._remembered(name, value)}
        except InputError as error:
            return {BY_ROW: _unaskable(name, str(error))}

    def _question(self, name: str, text: str) -> Question:
        policy = parse_policy_text(text, name) if "\n" in text.strip() else self._known(name)
        question = self._ask(policy)
        self._store.create(f"{FOLDER}/{file_of(policy)}", _record(policy))
        return question

    def _known(self, name: str) -> Policy:
        if name not in self._named:
            known = ", ".join(self._named)
            raise InputError(f"no policy is called {name!r:.{_SHOWN}}; give its whole text, or one of {known}")
        return self._named[name]

    def _missing(self, sample: Sample) -> str:
        if self._column not in sample.meta:
            return f"no field {self._column!r} (dataset.policy_column); there are {', '.join(sample.meta) or 'none'}"
        return f"field {self._column!r} holds no policy"


def file_of(policy: Policy) -> str:
    """Name of its file in FOLDER; what a named policy says may differ between runs, so the hash is part of it."""
    return f"{policy.name}-{policy_hash(policy)[:16]}.json"


def read_policies(store: Store) -> Iterator[Policy]:
    """Every policy that rows of the run were judged under.

    Raises:
        InputError: a file is none that `RowPolicies` wrote.
    """
    for name in store.names(FOLDER):
        yield read_policy(store, name)


def read_policy(store: Store, name: str) -> Policy:
    """The policy in a file of FOLDER; errors as `read_policies`."""
    try:
        return Policy.model_validate_json(store.read(f"{FOLDER}/{name}"))
    except ValidationError as error:
        raise InputError(f"{FOLDER}/{name}: holds no policy; take it from a copy of the run's folder") from error


def codes_of(policies: Iterable[Policy]) -> Mapping[str, str]:
    """Category names by code over all `policies`; of several names the first."""
    found: dict[str, str] = {}
    for policy in policies:
        found = {code: category.name for code, category in policy.categories.items()} | found
    return found


def _unaskable(name: str, reason: str) -> Unaskable:
    return Unaskable(policy=name, failure=Failure(status=Status.INVALID_POLICY, detail=reason))


def _record(policy: Policy) -> bytes:
    return json.dumps(policy.model_dump(mode="json"), indent=1, ensure_ascii=False).encode()
