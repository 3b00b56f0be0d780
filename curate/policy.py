"""Safety policies: categories with guidelines, and whether each is enforced or declared non-violating."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Category(BaseModel):
    """One category. `name` is an interface string: the model answers with "CODE: name"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    should_not: tuple[str, ...] = ()
    can: tuple[str, ...] = ()
    enforced: bool = True


class Policy(BaseModel):
    """A policy: categories by code, in order. `text`, where given, is rendered verbatim instead of the categories."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    categories: dict[str, Category] = Field(min_length=1)
    text: str | None = None
