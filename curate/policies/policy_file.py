"""Policies as YAML files: written so that a person can edit them, and checked for what YAML readers let pass."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from curate.core.errors import InputError
from curate.policies.policy import Category, Policy


class _Dumper(yaml.SafeDumper):
    """Block style throughout, so that a verbatim prompt stays readable."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def policy_yaml(policy: Policy) -> str:
    """`policy` as a YAML file of the configuration group `policy`, which composes to an equal policy."""
    fields: dict[str, Any] = {
        "name": policy.name,
        "categories": {code: _fields(category) for code, category in policy.categories.items()},
    }
    if policy.text is not None:
        fields["text"] = _without_interpolation(policy.text)
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def check_duplicate_keys(path: Path) -> None:
    """Refuse a YAML file in which a mapping has one key twice: readers keep the last and say nothing.

    Raises:
        InputError: the file is no YAML, or a key is doubled; names file, line and key.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    for line, key in _doubled(node):
        raise InputError(f"{path}, line {line}: {key!r} is there twice; keep one")


def _fields(category: Category) -> dict[str, Any]:
    lists = {"should_not": category.should_not, "can": category.can, "moderation": category.moderation}
    fields: dict[str, Any] = {"name": _without_interpolation(category.name), "enforced": category.enforced}
    return fields | {key: [_without_interpolation(item) for item in items] for key, items in lists.items() if items}


def _without_interpolation(text: str) -> str:
    """`text` with every `${` escaped, and the backslashes before it, as the configuration reader undoes it."""
    return re.sub(r"(\\*)\$\{", lambda match: f"{match[1] * 2}\\${{", text)


def literal_policy(content: dict[str, Any], path: Path, shipped: Collection[str]) -> dict[str, Any]:
    """What a policy file holds, so that the configuration reader finds text in it and nothing else.

    A policy may come from anywhere: it must not read this machine's environment (`${oc.env:TOKEN}`), nor choose a model
    or an engine (`defaults: [override /engine: x]`). It may be built on policies that are `shipped`. What `policy_yaml`
    has escaped already stays as it is.

    Raises:
        InputError: it holds something that is no part of a policy, or is built on anything else.
    """
    bases = content.get("defaults", [])
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str) or base not in (*shipped, "_self_"):
            raise InputError(f"{path}: defaults: {base!r} is no policy to build on; name one of {', '.join(shipped)}")
    strange = [key for key in content if key not in (*Policy.model_fields, "defaults")]
    if strange:
        raise InputError(f"{path}: {strange[0]!r} is no part of a policy, which has {', '.join(Policy.model_fields)}")
    return {key: _literal(value) for key, value in content.items()}


def _literal(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _literal(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_literal(value) for value in node]
    return _INTERPOLATED.sub(lambda match: f"{match[1] * 2}\\${{", node) if isinstance(node, str) else node


_INTERPOLATED = re.compile(r"(?<!\\)((?:\\\\)*)\$\{")
"""Where an even number of backslashes stands before it, none included."""


def _doubled(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _doubled(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _doubled(item)
