"""Safety policies: categories with guidelines, and whether each is enforced or declared non-violating."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from curate.core.errors import InputError

NA_CODE = "NA"
NA_NAME = "None applying"
BY_ROW = "by_row"
"""Stands in for a policy's name where each row of a data set has its own."""

MODERATION = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""The categories of OpenAI's moderation, all of them; clients read one that is missing as "not flagged"."""

_CODE = re.compile(r"[A-Z][A-Z0-9]{0,7}")
_POLICY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# Tokens by which the supported models mark images, turns and ends; inside a policy they would silently act as such.
_PLACEHOLDER = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|</?(?:image|img|video|s|bos|eos|pad)(?:_\w+)?>|\[/?INST\]", re.IGNORECASE
)
_UNNAMED = "is missing; check the code, or give a category of your own its name"
_INVISIBLE = {"Cc", "Cs", "Zl", "Zp"}


class Category(BaseModel):
    """One category. `name` is an interface string: the model answers with "CODE: name"."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """What the model answers with, after the code."""
    should_not: tuple[str, ...] = ()
    """What content should not do; at least one entry where the category is enforced."""
    can: tuple[str, ...] = ()
    """What content may do."""
    enforced: bool = True
    """Whether it counts as unsafe; false declares the category non-violating."""
    moderation: tuple[str, ...] = ()
    """Categories of OpenAI's moderation that `serve` reports it as; changes no label and no prompt."""

    @property
    def rules(self) -> tuple[str, tuple[str, ...], tuple[str, ...], bool]:
        """All of it that a prompt says."""
        return self.name, self.should_not, self.can, self.enforced

    @field_validator("name")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return value.strip()

    @field_validator("should_not", "can")
    @classmethod
    def _each_stripped(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(item.strip() for item in value)


class Policy(BaseModel):
    """A policy: categories by code, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Name of the policy; its annotations lie in a folder of this name."""
    categories: dict[str, Category] = Field(min_length=1)
    """Categories by code (a capital, then up to seven more), in order."""
    text: str | None = None
    """Rendered verbatim instead of the categories."""
    brief: bool = False
    """Rendered as its categories alone, for models that were tuned to answer without being told how."""


def load_policy(data: Mapping[str, Any], name: str | None = None) -> Policy:
    """The policy that `data` describes, as read from YAML.

    Args:
        data: the keys `name`, `categories` and optionally `text`.
        name: stands in where `data` has no name.

    Raises:
        InputError: one line that names the policy and the place in it.
    """
    fields = {"name": name, **data}
    place = f"policy {fields['name']}"
    _check_lists(place, fields.get("categories"))
    try:
        policy = Policy.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        unnamed = first["type"] == "missing" and first["loc"][:1] == ("categories",)
        said = f"{first['msg']} (given: {first['input']!r:.80})"
        raise InputError(f"{place}: {where}: {_UNNAMED if unnamed else said}") from error
    check_policy(policy)
    return policy


def check_policy(policy: Policy) -> None:
    """Refuse what a model could not be asked.

    Raises:
        InputError: one line that names the policy and the place in it.
    """
    place = f"policy {policy.name}"
    if not _POLICY_NAME.fullmatch(policy.name):
        raise InputError(f"{place}: name: use letters, digits, '_', '.' and '-' only, since it names a folder")
    for code, category in policy.categories.items():
        _check_code(place, code)
        _check_category(f"{place}: categories.{code}", category)
    _check_names(place, policy)
    if not any(category.enforced for category in policy.categories.values()):
        raise InputError(f"{place}: no category is enforced, so that nothing could be unsafe; enforce at least one")
    if policy.text is not None:
        _check_text(f"{place}: text", policy.text, allowed="\n\t\r")


def _check_lists(place: str, categories: object) -> None:
    """An empty list that somebody wrote is a slip; a list that is not meant to be there is left out."""
    if not isinstance(categories, Mapping):
        return
    for code, category in categories.items():
        for key in ("should_not", "can"):
            if isinstance(category, Mapping) and key in category and not category[key]:
                raise InputError(f"{place}: categories.{code}.{key}: is empty; give it an entry or leave it out")


def _check_code(place: str, code: str) -> None:
    if code == NA_CODE:
        raise InputError(
            f"{place}: categories.{code}: {NA_CODE} is reserved for '{NA_NAME}' and always there; remove it"
        )
    if not _CODE.fullmatch(code):
        raise InputError(
            f"{place}: categories.{code}: not a category code; write it like O1 (a capital, then up to 7 more)"
        )


def _check_category(place: str, category: Category) -> None:
    strange = next((name for name in category.moderation if name not in MODERATION), None)
    if strange is not None:
        raise InputError(f"{place}.moderation: {strange!r} is none of OpenAI's: {', '.join(MODERATION)}")
    if category.enforced and not category.should_not:
        raise InputError(f"{place}.should_not: is missing; say what is forbidden, or set enforced to false")
    for where, text in _texts(category):
        _check_text(f"{place}.{where}", text)


def _texts(category: Category) -> Iterator[tuple[str, str]]:
    yield "name", category.name
    for key, items in (("should_not", category.should_not), ("can", category.can)):
        yield from ((f"{key}[{i}]", item) for i, item in enumerate(items))


def _check_text(place: str, text: str, allowed: str = "") -> None:
    if not text.strip():
        raise InputError(f"{place}: is blank; write something or remove it")
    hidden = next((c for c in text if c not in allowed and unicodedata.category(c) in _INVISIBLE), None)
    if hidden:
        raise InputError(f"{place}: holds the control character U+{ord(hidden):04X}; remove it (one line an entry)")
    placeholder = _PLACEHOLDER.search(text)
    if placeholder:
        raise InputError(f"{place}: holds {placeholder[0]}, which models read as an image or a turn; remove it")


def _check_names(place: str, policy: Policy) -> None:
    seen = {NA_NAME.casefold(): NA_CODE}
    for code, category in policy.categories.items():
        other = seen.setdefault(category.name.casefold(), code)
        if other != code:
            raise InputError(
                f"{place}: categories.{code}.name: {category.name!r} is also the name of {other}; rename one"
            )
