"""From the command line to `Settings`: the only module that knows Hydra.

Two things are done before Hydra sees an override, because people type them as a shell understands them: brace ranges
(`dataset.shards=/data/{00000..00127}.tar`) are quoted, and the repeated `dataset.shards=` that a shell makes of an
unquoted range is gathered into one list. A group may also be given as a file (`policy=./mine.yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import ValidationError

from curate.calibration import load_calibration
from curate.errors import InputError
from curate.policy import Policy, load_policy
from curate.policy_file import check_duplicate_keys
from curate.resources import conf_dir, packaged
from curate.settings import DatasetSettings, EngineSettings, FilterSettings, ModelSettings, Settings
from curate.tuning.settings import TuneSettings

GROUPS = ("dataset", "model", "policy", "engine", "filter", "job", "tune")

# Mappings whose keys are the user's: a new key is added where others must exist, without Hydra's "+".
_OPEN_MAPPINGS = (
    "engine.args",
    "model.processor",
    "model.hf_overrides",
    "dataset.options",
    "dataset.storage_options",
    "filter.by_category",
    "filter.fields",
    "filter.splits",
    "filter.subdivide",
)

T = TypeVar("T")

# What changes a row, and so may not be changed by `filter` on a finished run.
_FIXED_BY_A_RUN = ("dataset", "model", "policy", "policies", "engine")


def compose_settings(overrides: Sequence[str]) -> Settings:
    """The settings of a command that needs a data set.

    Raises:
        InputError: an override that does not parse, an unknown group, name, key or value; one line.
    """
    config = _compose(overrides)
    if "dataset" not in config:
        raise InputError(f"dataset: none was given; add +dataset=NAME, one of {', '.join(group_names('dataset'))}")
    fields = _plain(config)
    policy = fields.pop("policy")
    names = fields.pop("policies")
    if fields["dataset"].get("policy_column"):
        policies = _namable(load_policy(policy), names)
    else:
        policies = [load_policy(policy)] if names is None else [_policy_named(name, overrides) for name in names]
    _refuse_doubles([p.name for p in policies])
    fields["filter"] = _with_calibration(fields["filter"])
    return _validated(Settings, fields | {"policies": {p.name: p for p in policies}})


def compose_policy(overrides: Sequence[str]) -> tuple[Policy, ModelSettings]:
    """The policy and the model, for commands that need no data set; errors as `compose_settings`."""
    config = _compose(overrides)
    return load_policy(_plain_group(config, "policy")), _validated(
        ModelSettings, _plain_group(config, "model"), "model"
    )


def compose_filter(overrides: Sequence[str], recorded: FilterSettings) -> FilterSettings:
    """The filter of a finished run: its recorded rules, changed by `overrides`.

    Raises:
        InputError: an override that would change labels, or that is wrong.
    """
    fixed = next((o for o in overrides if _key(o).split(".")[0] in _FIXED_BY_A_RUN), None)
    if fixed:
        raise InputError(
            f"{fixed}: would change labels, and `filter` does not judge; use `run` with another output.dir"
        )
    ConfigStore.instance().store(group="filter", name="recorded", node=recorded.model_dump(mode="json"))
    chosen = [] if any(_key(o) == "filter" for o in overrides) else ["filter=recorded"]
    fields = _with_calibration(_plain_group(_compose([*chosen, *overrides]), "filter"))
    return _validated(FilterSettings, fields, "filter")


def compose_judge(overrides: Sequence[str]) -> tuple[ModelSettings, EngineSettings]:
    """A model and the engine that runs it; errors as `compose_settings`."""
    config = _compose(overrides)
    model = _validated(ModelSettings, _plain_group(config, "model"), "model")
    return model, _validated(EngineSettings, _plain_group(config, "engine"), "engine")


def compose_dataset(overrides: Sequence[str]) -> DatasetSettings | None:
    """The data set, None where none was given; errors as `compose_settings`."""
    config = _compose(overrides)
    if "dataset" not in config:
        return None
    return _validated(DatasetSettings, _plain_group(config, "dataset"), "dataset")


def compose_tune(overrides: Sequence[str]) -> tuple[TuneSettings, ModelSettings]:
    """A recipe and the checkpoint it tunes.

    Without `tune=` the recipe is that of the model's name, or else `lora`; without `model=` the checkpoint is the
    recipe's base. Errors as `compose_settings`.
    """
    chosen = {_key(o): o.partition("=")[2] for o in overrides}
    prepared = [f"+{o}" if _key(o) == "tune" else o for o in overrides]
    if "tune" not in chosen:
        named = chosen.get("model")
        prepared.append(f"+tune={named if named in group_names('tune') else 'lora'}")
    tune = _validated(TuneSettings, _plain_group(_compose(prepared), "tune"), "tune")
    if "model" not in chosen:
        if tune.base is None:
            raise InputError(f"model: recipe {tune.name} has no base of its own; name what to tune with model=")
        path = [] if "model.path" in chosen else [f"model.path={tune.base}"]
        prepared = ["model=local", *path, *prepared]
    return tune, _validated(ModelSettings, _plain_group(_compose(prepared), "model"), "model")


def group_names(group: str) -> list[str]:
    """Names that can be given for `group`."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def split_output_dir(argv: Sequence[str]) -> tuple[Path, list[str]]:
    """`split_run`, for commands whose output is a folder of this machine."""
    place, rest = split_run(argv)
    return Path(place), rest


def split_run(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The folder or URL named by `output.dir=DIR`, and the other arguments.

    Raises:
        InputError: there is no such argument.
    """
    folders = [a.partition("=")[2] for a in argv if a.startswith("output.dir=")]
    if not folders:
        raise InputError("output.dir: none was given; name the run's folder with output.dir=DIR")
    return folders[-1], [a for a in argv if not a.startswith("output.dir=")]


def _compose(overrides: Sequence[str]) -> DictConfig:
    OmegaConf.register_new_resolver("packaged", packaged, replace=True)
    prepared = [_addable(_group_from_file(o)) for o in _gather_shards(overrides)]
    try:
        with _hydra():
            config: DictConfig = compose("config", overrides=prepared)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_one_line(error)) from error
    return config


@contextmanager
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def _policy_named(name: str, overrides: Sequence[str]) -> Policy:
    """One of several policies, composed by itself: each takes the `policy.*` overrides, none is merged with another."""
    others = [o for o in overrides if _key(o) not in ("policy", "policies")]
    return load_policy(_plain_group(_compose([*others, f"policy={name}"]), "policy"))


def _namable(chosen: Policy, names: Sequence[str] | None) -> list[Policy]:
    """What a row may name that has its own policy: the chosen one as `policy.*` changed it, and those that ship."""
    if names is not None:
        raise InputError(
            "policies: with dataset.policy_column each row has a policy of its own; leave out one of the two"
        )
    return [chosen, *(policy for policy in _shipped() if policy.name != chosen.name)]


@cache
def _shipped() -> tuple[Policy, ...]:
    """The policies that ship, as they are."""
    return tuple(_policy_named(name, ()) for name in group_names("policy"))


def _with_calibration(rules: dict[str, Any]) -> dict[str, Any]:
    """`rules` with the content of the calibration in place of its file's name, so that a run does not depend on it."""
    given = rules.get("calibration")
    if not isinstance(given, str):
        return rules
    try:
        return rules | {"calibration": load_calibration(Path(given))}
    except InputError as error:
        raise InputError(f"filter.calibration={error}") from error


def _refuse_doubles(names: Sequence[str]) -> None:
    double = next((n for n in names if names.count(n) > 1), None)
    if double:
        raise InputError(f"policies: {double!r} is there twice; give each policy a `name` of its own")


def _gather_shards(overrides: Sequence[str]) -> list[str]:
    """Quote shard patterns for Hydra's grammar and make one list of repeated `dataset.shards=`."""
    shards = [o.partition("=")[2] for o in overrides if _key(o) == "dataset.shards"]
    others = [o for o in overrides if _key(o) != "dataset.shards"]
    if not shards:
        return others
    items = _split_list(shards[0]) if len(shards) == 1 and shards[0].startswith("[") else shards
    return [*others, f"dataset.shards=[{','.join(_quoted(item) for item in items)}]"]


def _split_list(text: str) -> list[str]:
    """The items of `[a,b{1,2}]`, split at commas outside braces and quotes."""
    return [item.strip().strip("'\"") for item in re.findall(r"'[^']*'|\"[^\"]*\"|(?:\{[^}]*\}|[^,])+", text[1:-1])]


def _quoted(value: str) -> str:
    if value[:1] in "'\"":
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _group_from_file(override: str) -> str:
    """Make `policy=./mine.yaml` a choice that Hydra can make, by registering the file's content."""
    key, _, value = override.partition("=")
    group = key.lstrip("+")
    if group not in GROUPS or not value.endswith((".yaml", ".yml")):
        return override
    path = Path(value)
    if not path.is_file():
        raise InputError(f"{override}: no such file; name one, or one of {', '.join(group_names(group))}")
    ConfigStore.instance().store(group=group, name=f"file_{path.stem}", node=_read_yaml(path))
    return f"{key}=file_{path.stem}"


def _addable(override: str) -> str:
    """Let an override of an open mapping add a key, and one of a data set whatever its file leaves out."""
    inside = any(override.startswith(f"{mapping}.") for mapping in _OPEN_MAPPINGS)
    group, _, name = _key(override).partition(".")
    left_out = group == "dataset" and name in DatasetSettings.model_fields and override.startswith(group)
    return f"++{override}" if inside or left_out else override


def _read_yaml(path: Path) -> dict[str, Any]:
    check_duplicate_keys(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no mapping of keys to values")
    return content


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _plain(config: DictConfig) -> dict[str, Any]:
    try:
        fields = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key}: has no value; give one with {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        raise InputError(str(error).splitlines()[0]) from error
    assert isinstance(fields, dict)
    return {str(k): v for k, v in fields.items()}


def _plain_group(config: DictConfig, group: str) -> dict[str, Any]:
    return _plain(config[group])


def _validated(kind: type[T], fields: Mapping[str, Any], prefix: str = "") -> T:
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ((prefix,) if prefix else ()) + first["loc"])
        raise InputError(f"{place}: {_reason(first['type'], first['msg'])} (given: {first['input']!r})") from error


def _reason(kind: str, message: str) -> str:
    return "there is no such setting" if kind == "extra_forbidden" else message


def _one_line(error: Exception) -> str:
    """Hydra's message as one line that says how to mend it."""
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    missing = re.search(r"Could not find '(\w+)/([^']+)'", text)
    if missing:
        group, name = missing.groups()
        return (
            f"{group}={name}: there is no such {group}; choose one of {', '.join(group_names(group))}, or a YAML file"
        )
    unknown = re.search(r"Could not (?:override|append to config)[^']*'([^']+)'", text)
    if unknown:
        return f"{unknown[1]}: there is no such setting (a new key of a mapping is added with +{unknown[1]}=...)"
    return text
