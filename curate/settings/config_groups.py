"""The groups of the configuration and the names that can be chosen in them, without reading any of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import takewhile

import yaml

from curate.core.package_files import conf_dir

GROUPS = ("dataset", "model", "policy", "engine", "filter", "job", "tune", "serve", "generator")


def group_names(group: str) -> list[str]:
    """Names that can be given for `group`."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def written(group: str) -> str:
    """How a choice in `group` begins on the command line: `model=`, but `+dataset=`, since there is no default one."""
    return f"{'+' if group == 'dataset' else ''}{group}="


@cache
def default_names() -> Mapping[str, str]:
    """The name in each group that a run has without being told, as conf/config.yaml lists them."""
    listed = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    return {group: name for entry in listed if isinstance(entry, dict) for group, name in entry.items()}


def brought_by_model(name: str) -> Mapping[str, str]:
    """The choice in other groups that a model of conf/model/ brings, as the policy it was tuned with."""
    path = conf_dir() / "model" / f"{name}.yaml"
    listed = yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", []) if path.is_file() else []
    choices = {place: choice for entry in listed if isinstance(entry, dict) for place, choice in entry.items()}
    return {place.rpartition(".")[2]: choice for place, choice in choices.items() if place.startswith("override /")}


def said_of(group: str, name: str) -> str:
    """The first sentence of what a file says of itself at its beginning."""
    text = (conf_dir() / group / f"{name}.yaml").read_text(encoding="utf-8")
    said = " ".join(line[2:] for line in takewhile(lambda line: line.startswith("# "), text.splitlines()))
    return re.split(r"(?<=\.) (?=[A-Z])|:? {3}", said)[0]
