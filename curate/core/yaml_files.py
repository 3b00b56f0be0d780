"""YAML that the project wrote itself, read with libyaml where it is there."""

from __future__ import annotations

from typing import Any

import yaml


def load_yaml(text: str | bytes) -> Any:
    """What `text` says: a run's record, a card or a policy takes Python's own parser tens of milliseconds."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
