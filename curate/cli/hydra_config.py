"""From the command line to `Settings`: the only module that knows Hydra.

What people type is made into overrides that Hydra takes by `curate.cli.overrides`. A group may also be given as a file
(`policy=./mine.yaml`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from curate.cli.overrides import MOVED, Override, key_of, no_such_choice, pairs, prepared, quoted
from curate.cli.path_values import path_of
from curate.core.calibration import load_calibration
from curate.core.errors import InputError
from curate.core.package_files import conf_dir, packaged
from curate.core.secrets import masked_url, remember
from curate.policies.policy import Policy, load_policy
from curate.policies.policy_file import check_duplicate_keys, literal_policy
from curate.settings.catalogue import MODELS, defaults_of, lookup
from curate.settings.config_groups import GROUPS, group_names
from curate.settings.dataset import DatasetSettings
from curate.settings.dataset_name import named_after
from curate.settings.engine import EngineSettings
from curate.settings.filter import FilterSettings
from curate.settings.generator import GeneratorSettings
from curate.settings.model import ModelSettings
from curate.settings.run import Settings
from curate.settings.secrets import masked_fields, remember_secrets
from curate.settings.serve import ServeSettings
from curate.settings.tune import TuneSettings
from curate.settings.validation import validated

# What changes a row, and so may not be changed by `filter` on a finished run.
_FIXED_BY_A_RUN = ("dataset", "model", "policy", "policies", "engine")

_TEXTS = ("text", "text or null")
"""Kinds of settings whose value is what was typed, though Hydra may see a number, a list or a mapping in it."""


def compose_settings(overrides: Sequence[str]) -> Settings:
    """The settings of a command that needs a data set.

    Raises:
        InputError: an override that does not parse, an unknown group, name, key or value; one line.
    """
    config = _compose(overrides)
    if "dataset" not in config:
        raise InputError(f"dataset: none was given; add +dataset=NAME, one of {_named('dataset')}")
    return _settings_of(_plain(config), overrides)


def compose_serve(overrides: Sequence[str]) -> tuple[Settings, ServeSettings]:
    """A service, and what it judges with; of the data set only the limits count, which are those of any folder.

    Errors as `compose_settings`.
    """
    chosen = [] if any(key_of(o) == "serve" for o in overrides) else ["serve=default"]
    given = ["+dataset=folder", "dataset.shards=.", *chosen, *overrides]
    fields = _plain(_compose(given, serving=True))
    serve = validated(ServeSettings, fields.pop("serve"), "serve")
    return _settings_of(fields, [o for o in given if key_of(o).partition(".")[0] != "serve"]), serve


def compose_generator(overrides: Sequence[str]) -> GeneratorSettings:
    """What `audit` looks at, of overrides of the group `generator` alone; errors as `compose_settings`."""
    if not any(key_of(o) == "generator" for o in overrides):
        raise InputError(f"generator: none was given; add generator=NAME, one of {_named('generator')}")
    fields = _plain_group(_compose(overrides, auditing=True), "generator")
    settings = validated(GeneratorSettings, fields, "generator")
    remember(
        settings.model_dump(mode="json"), masked_fields({"generator": settings.model_dump(mode="json")})["generator"]
    )
    return settings


def _settings_of(fields: dict[str, Any], overrides: Sequence[str]) -> Settings:
    policy = fields.pop("policy")
    names = fields.pop("policies")
    names = [names] if isinstance(names, str) else names
    if fields["dataset"].get("policy_column"):
        policies = _namable(load_policy(policy), names)
    else:
        policies = [load_policy(policy)] if names is None else [_policy_named(name, overrides) for name in names]
    _refuse_doubles([p.name for p in policies])
    fields["filter"] = _with_calibration(fields["filter"])
    settings = validated(Settings, fields | {"policies": {p.name: p for p in policies}})
    remember_secrets(settings)
    return settings


def compose_policy(overrides: Sequence[str]) -> tuple[Policy, ModelSettings]:
    """The policy and the model, for commands that need no data set; errors as `compose_settings`."""
    config = _compose(overrides)
    return load_policy(_plain_group(config, "policy")), validated(ModelSettings, _plain_group(config, "model"), "model")


def compose_filter(overrides: Sequence[str], recorded: FilterSettings) -> FilterSettings:
    """The filter of a finished run: its recorded rules, changed by `overrides`.

    Raises:
        InputError: an override that would change labels, or that is wrong.
    """
    fixed = next((o for o in overrides if key_of(o).split(".")[0] in _FIXED_BY_A_RUN), None)
    if fixed:
        raise InputError(
            f"{fixed}: would change labels, and `filter` does not judge; use `run` with another output.dir"
        )
    stranger = next((one for one in prepared(overrides) if one.key.partition(".")[0] != "filter"), None)
    if stranger:
        raise InputError(f"{stranger}: `filter` takes output.dir=DIR, filter=NAME and filter.KEY=VALUE")
    ConfigStore.instance().store(group="filter", name="recorded", node=recorded.model_dump(mode="json"))
    named = any(key_of(o) == "filter" for o in overrides)
    fields = _with_calibration(_plain_group(_compose(overrides, recorded=not named), "filter"))
    return validated(FilterSettings, fields, "filter")


def compose_access(overrides: Sequence[str], recorded: DatasetSettings) -> DatasetSettings:
    """How the data of a run are reached: as recorded, changed by `overrides`; errors as `compose_settings`."""
    if not overrides:
        return recorded
    ConfigStore.instance().store(group="dataset", name="recorded", node=recorded.model_dump(mode="json"))
    fields = _plain_group(_compose(overrides, access=True), "dataset")
    access = validated(DatasetSettings, fields, "dataset")
    remember(access.model_dump(mode="json"), masked_fields({"dataset": access.model_dump(mode="json")})["dataset"])
    return access


def compose_judge(overrides: Sequence[str]) -> tuple[ModelSettings, EngineSettings]:
    """A model and the engine that runs it; errors as `compose_settings`."""
    config = _compose(overrides)
    model = validated(ModelSettings, _plain_group(config, "model"), "model")
    return model, validated(EngineSettings, _plain_group(config, "engine"), "engine")


def compose_dataset(overrides: Sequence[str]) -> DatasetSettings | None:
    """The data set, None where none was given; errors as `compose_settings`."""
    config = _compose(overrides)
    if "dataset" not in config:
        return None
    return validated(DatasetSettings, _plain_group(config, "dataset"), "dataset")


def compose_tune(overrides: Sequence[str]) -> tuple[TuneSettings, ModelSettings]:
    """A recipe and the checkpoint it tunes.

    Without `tune=` the recipe is that of the model's name, or else `lora`; without `model=` the checkpoint is the
    recipe's base. Errors as `compose_settings`.
    """
    config = _compose(_for_tuning(overrides), tuning=True)
    tune = validated(TuneSettings, _plain_group(config, "tune"), "tune")
    return tune, validated(ModelSettings, _plain_group(config, "model"), "model")


def composed(
    overrides: Sequence[str],
    groups: Sequence[str],
    *,
    tuning: bool = False,
    serving: bool = False,
    auditing: bool = False,
) -> dict[str, Any]:
    """The configuration of these `groups`, with the defaults of what no file says; errors as `compose_settings`.

    What has to be given and was not is `???`.
    """
    chosen = ["serve=default"] if serving and not any(key_of(o) == "serve" for o in overrides) else []
    given = [*chosen, *(_for_tuning(overrides) if tuning else overrides)]
    config = _compose(given, tuning=tuning, serving=serving, auditing=auditing)
    with open_dict(config):
        if "dataset" in config and config.dataset.get("name") is None:
            config.dataset.name = "???"  # as the shards, after which it would be named
        for group in MODELS.keys() & config.keys():
            config[group] = OmegaConf.merge(defaults_of(group), config[group])
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # what a value refers to may have to be given first
        plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return {group: plain[group] for group in groups if group in plain}


def _for_tuning(overrides: Sequence[str]) -> list[str]:
    """`overrides` with the recipe and the model that `tune` takes where none is given."""
    chosen = {key_of(o): o.partition("=")[2] for o in overrides}
    given = list(overrides)
    if "tune" not in chosen:
        named = chosen.get("model")
        given.append(f"tune={named if named in group_names('tune') else 'lora'}")
    if "model" in chosen:
        return given
    tune = validated(TuneSettings, _plain_group(_compose(given, tuning=True), "tune"), "tune")
    if tune.base is None:
        raise InputError(f"model: recipe {tune.name} has no base of its own; name what to tune with model=")
    return ["model=local", *([] if "model.path" in chosen else [f"model.path={tune.base}"]), *given]


def _compose(
    overrides: Sequence[str],
    *,
    tuning: bool = False,
    serving: bool = False,
    auditing: bool = False,
    recorded: bool = False,
    access: bool = False,
) -> DictConfig:
    """What Hydra makes of `overrides`.

    `recorded` starts from the filter that `compose_filter` registered, `access` from the data of `compose_access`.
    """
    OmegaConf.register_new_resolver("packaged", packaged, replace=True)
    given = prepared(overrides, tuning=tuning, serving=serving, auditing=auditing)
    if not access and not any(one.key == "dataset" for one in given):
        _refuse_orphans(given)
    moved = {old: new for one in given if one.key == MOVED for old, new in pairs(one).items()}
    ready = [_chosen(one) if "." not in one.key else _readable(one) for one in given if one.key != MOVED]
    start = [*(["filter=recorded"] if recorded else []), *(["+dataset=recorded"] if access else [])]
    try:
        with _hydra():
            config: DictConfig = compose("config", overrides=[*start, *ready])
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_one_line(error)) from error
    if moved:
        OmegaConf.update(config, MOVED, moved, force_add=True)
    _name_dataset(config)
    return config


def _refuse_orphans(given: Sequence[Override]) -> None:
    """Settings of a data set make none."""
    orphan = next((one for one in given if one.key.startswith("dataset.")), None)
    if orphan:
        raise InputError(f"{orphan.key}: is of no data set; add +dataset=NAME, one of {_named('dataset')}")


def _name_dataset(config: DictConfig) -> None:
    """Call a data set without a name what its shards are called, before anything refers to it."""
    if OmegaConf.select(config, "dataset") is None or config.dataset.get("name") is not None:
        return
    shards = OmegaConf.select(config, "dataset.shards", throw_on_missing=False)
    if shards:
        listed = [masked_url(str(shard)) for shard in ([shards] if isinstance(shards, str) else shards)]
        on_hub = config.dataset.get("format") == "hub"
        OmegaConf.update(config, "dataset.name", named_after(listed, on_hub=on_hub), force_add=True)


@contextmanager
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def _policy_named(name: str, overrides: Sequence[str]) -> Policy:
    """One of several policies, composed by itself: each takes the `policy.*` overrides, none is merged with another."""
    others = [o for o in overrides if key_of(o) not in ("policy", "policies")]
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


def _chosen(choice: Override) -> str:
    """A choice that Hydra can make; of `policy=./mine.yaml` by registering the file's content."""
    name = path_of(choice.value)
    if choice.key not in GROUPS:
        return _readable(choice)
    if not name.endswith((".yaml", ".yml")):
        if name not in group_names(choice.key):
            raise InputError(no_such_choice(choice.key, name))
        return Override(choice.key, name).for_hydra
    path = Path(name)
    if not path.is_file():
        raise InputError(f"{choice}: no such file; name one, or one of {_named(choice.key)}")
    read = _read_yaml(path)
    node = literal_policy(read, path, group_names("policy")) if choice.key == "policy" else read
    registered = f"file_{hashlib.sha256(str(path.absolute()).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    ConfigStore.instance().store(group=choice.key, name=registered, node=node)
    return Override(choice.key, registered).for_hydra


def _readable(override: Override) -> str:
    """`override` in Hydra's grammar; a text may hold what means something there.

    Raises:
        InputError: the value is no text and cannot be read.
    """
    setting = lookup(override.key)
    try:
        parsed = OverridesParser.create().parse_override(override.for_hydra)
        is_typed = setting is not None and setting.kind in _TEXTS and parsed.value() is not None
        if not parsed.is_sweep_override() and not is_typed:
            return override.for_hydra
    except HydraException:
        pass
    if setting is not None and setting.text and (not setting.open or setting.path != override.key):
        return Override(override.key, quoted(override.value.strip())).for_hydra
    kind = setting.kind if setting else "mapping"
    form = {"list": ", written [a,b]", "mapp": ", written {a: 1, b: 2}"}.get(kind[:4], "")
    raise InputError(f"{override}: cannot be read; {override.key} takes {kind}{form}")


def _named(group: str) -> str:
    return ", ".join(group_names(group))


def _read_yaml(path: Path) -> dict[str, Any]:
    check_duplicate_keys(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no mapping of keys to values")
    return content


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


def _one_line(error: Exception) -> str:
    """Hydra's message as one line."""
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip() and "https://" not in line)
