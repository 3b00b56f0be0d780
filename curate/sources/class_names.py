"""Names of classes: what `datasets` writes down of a column of numbers, in the metadata of the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

Features = Mapping[str, Any]
"""What holds classes somewhere, by column, as `datasets` describes it."""


def features_of(schema: pa.Schema) -> Features:
    """The columns with classes; none where nothing, or nothing that can be read, is written down."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: feature for name, feature in described.items() if _holds_classes(feature)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def with_names(value: Any, feature: Any) -> Any:
    """`value` with the names of its classes in place of their numbers; what is no class of these stays."""
    if feature is None or value is None:
        return value
    if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel":
        return _named(value, feature.get("names"))
    if isinstance(value, list):
        inner = feature[0] if isinstance(feature, list) and feature else _inner(feature)
        return [with_names(item, inner) for item in value]
    if isinstance(value, dict) and isinstance(feature, Mapping):
        return {name: with_names(item, _field(feature, name)) for name, item in value.items()}
    return value


def _named(value: Any, names: Any) -> Any:
    known = isinstance(names, list) and isinstance(value, int) and 0 <= value < len(names)
    return str(names[value]) if known else value


def _inner(feature: Any) -> Any:
    return feature.get("feature") if isinstance(feature, Mapping) else None


def _field(feature: Mapping[str, Any], name: str) -> Any:
    """What a struct's field is; a sequence of structs is written as a struct of sequences by older versions."""
    inner = feature.get(name)
    return inner if isinstance(inner, Mapping | list) else None


def _holds_classes(feature: Any) -> bool:
    if isinstance(feature, list):
        return any(_holds_classes(one) for one in feature)
    if not isinstance(feature, Mapping):
        return False
    return feature.get("_type") == "ClassLabel" or any(_holds_classes(one) for one in feature.values())
