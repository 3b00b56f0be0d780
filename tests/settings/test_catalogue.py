"""Settings: each can be set whatever the chosen files list, each is described once, and the page of them is current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from curate.cli.command_names import NAMES
from curate.cli.help import constants
from curate.cli.hydra_config import (
    compose_filter,
    compose_generator,
    compose_policy,
    compose_serve,
    compose_settings,
    compose_tune,
)
from curate.cli.program import main
from curate.core.calibration import Calibration, save_calibration
from curate.core.errors import InputError
from curate.settings.catalogue import ALONE, MODELS, Setting, lookup, no_such_setting, of_type, settings
from curate.settings.config_groups import group_names
from curate.settings.filter import FilterSettings
from curate.settings.group import Group
from curate.settings.run import Settings
from curate.settings.tune import DataSettings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

# The files that list least of their group, and a recipe without adapters.
BARE = [
    "+dataset=imagenet_folder",
    "dataset.shards=pictures",
    "model=builtin",
    "engine=fake",
    "filter=strict",
    "job=local",
]
RECIPE = ["tune=builtin", "model=qwenguard_3b"]
GENERATOR = ["generator=diffusers", "generator.path=sd"]

PATHS = [setting.path.replace("KEY", "O6") for setting in settings()]
SPECIAL = {
    "dataset.shards": "[a.tar,b.tar]",
    "model.rationale_chars": "7",
    "policy.categories": "{O6: {name: Arms, should_not: [Show arms.]}}",
    "policy.categories.O6.should_not": "[Show arms.]",
    "policy.categories.O6.moderation": "[violence]",
    "policy.name": "mine",
    "filter.by_category": "{O6: {unsafe: 0.5}}",
    "filter.fields": "{punsafe: float}",
    "filter.splits": "{a: 'true'}",
    "filter.subdivide": "{a: 0.5}",
    "policies": "[kids]",
    "tune.lora": "{rank: 3}",
}


@pytest.fixture
def calibration(tmp_path, monkeypatch):
    """A file that `filter.calibration` can name."""
    monkeypatch.chdir(tmp_path)
    save_calibration(Calibration(method="platt", fitted_on=3), tmp_path / "calibration.json")


def sample(path: str) -> tuple[str, object]:
    """A value of the setting at `path` that is not its default, as it is written and as YAML reads it."""
    setting = lookup(path)
    assert setting is not None
    if path == "filter.calibration":
        return "calibration.json", "calibration.json"
    if path in SPECIAL:
        text = SPECIAL[path]
    elif setting.choices:
        text = next((choice for choice in setting.choices if choice != setting.default), setting.choices[0])
    else:
        by_kind = {"text": "some", "whole": "3", "number": "0.5", "list": "[some,more]", "mapping": "{some: 1}"}
        text = by_kind[setting.kind.split()[0].rstrip(",")]
    return text, yaml.safe_load(text.replace(",", ", "))


def found(thing: object, path: list[str]) -> object:
    for part in path:
        thing = thing[part] if isinstance(thing, dict) else getattr(thing, part)
    return thing


def plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_every_setting_can_be_set_whatever_the_files_list(path, calibration):
    text, expected = sample(path)
    group, *rest = path.split(".")
    if group == "tune":
        held = compose_tune([*RECIPE, f"{path}={text}"])[0]
    elif group == "policy":
        held = compose_policy([f"{path}={text}"])[0]
    elif group == "serve":
        held = compose_serve([f"{path}={text}"])[1]
    elif group == "generator":
        held = compose_generator([*GENERATOR, f"{path}={text}"])
    else:
        held = found(compose_settings([*(one for one in BARE if not one.startswith(path)), f"{path}={text}"]), [group])
    value = plain(found(held, rest))
    if isinstance(value, Calibration):
        assert value.fitted_on == 3
    elif path == "policies":
        assert list(value) == ["kids"]
    elif isinstance(expected, dict):
        assert all(key in repr(value) for key in expected)
    else:
        assert value == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "group", ["dataset", "model", "engine", "filter", "job", "policy", "tune", "serve", "generator"]
)
def test_all_settings_of_a_group_at_once_over_each_of_its_files(group, calibration):
    values = {
        p: sample(p)[0] for p in PATHS if p.split(".")[0] == group and p not in ("policy.categories", "tune.lora")
    }
    for name in group_names(group):
        given = [f"{path}={text}" for path, text in values.items()]
        if group == "tune":
            compose_tune([f"tune={name}", "model=local", "model.path=x", *given])
        elif group == "policy":
            compose_policy([f"policy={name}", *given])
        elif group == "serve":
            compose_serve([f"serve={name}", *given])
        elif group == "generator":
            compose_generator([f"generator={name}", *given])
        else:
            others = [choice for choice in BARE if not choice.lstrip("+").startswith(f"{group}=")]
            settings = compose_settings([*others, f"{group}={name}", *given])
            assert settings.dataset.shards


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_hydras_plus_makes_no_difference(plus):
    given = [f"{plus}{one.lstrip('+')}" for one in (*BARE, "model.dtype=float32", "filter.splits.small=width < 64")]
    settings = compose_settings(given)
    assert settings.model.dtype == "float32"
    assert settings.dataset.name == "imagenet_folder"
    assert settings.filter.splits["small"] == "width < 64"


def test_a_text_may_hold_what_means_something_to_hydra():
    settings = compose_settings([*BARE, "model.warning=a, b (or c): d=e", "output.dir=runs/x{1}", "engine.args.k=a)"])
    assert settings.model.warning == "a, b (or c): d=e"
    assert settings.output.dir == "runs/x{1}"
    assert settings.engine.args["k"] == "a)"


@pytest.mark.parametrize(
    "text", [r"a\b (c", "it's (ok", r"a\' (", "x LIKE '%(a%'", r"C:\dir\(x)", "a\nb (c", "tail(\\"]
)
def test_a_text_that_hydra_cannot_read_is_taken_as_it_is(text):
    assert compose_settings([*BARE, f"model.warning={text}"]).model.warning == text


def test_one_name_stands_for_a_list_of_it():
    settings = compose_settings([*BARE, "policies=kids", "retry=invalid_output", "reuse=runs/a"])
    assert list(settings.policies) == ["kids"]
    assert (settings.retry, settings.reuse) == (["invalid_output"], ["runs/a"])


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("dataset.shard", "dataset.shards"),
        ("shards", "dataset.shards"),
        ("dataset_shards", "dataset.shards"),
        ("filter.review", "filter.thresholds.review"),
        ("filter.threshold.unsafe", "filter.thresholds.unsafe"),
        ("output_dir", "output.dir"),
        ("outputdir", "output.dir"),
        ("dtype", "model.dtype"),
        ("model.temperature", "model.decoding.temperature"),
        ("modle.path", "model.path"),
        ("engine.worker", "engine.workers"),
        ("policy.categories.O6.enforce", "policy.categories.O6.enforced"),
        ("budget.engin", "budget.engine"),
        ("retries", "retry"),
        ("job.partitions", "job.partition"),
    ],
)
@pytest.mark.slow
def test_a_wrong_name_suggests_the_nearest(path, meant):
    assert f"did you mean {meant}?" in no_such_setting(path)
    with pytest.raises(InputError, match=re.escape(f"{path}: there is no such setting")):
        compose_settings([*BARE, f"{path}=1"])
    compose_settings([*BARE, f"{meant}={sample(meant)[0]}"])  # what is advised is not refused


def test_a_wrong_name_in_a_file_suggests_the_nearest_too(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\npath: builtin\nd_type: float32\n")
    with pytest.raises(
        InputError, match=re.escape("model.d_type: there is no such setting; did you mean model.dtype?")
    ):
        compose_settings([*BARE, f"model={tmp_path}/mine.yaml"])


def test_a_filter_takes_rules_alone():
    for other in ("retry=[invalid_output]", "job.tasks=3", "output.dir=x"):
        with pytest.raises(InputError, match=r"`filter` takes output.dir=DIR, filter=NAME and filter.KEY=VALUE"):
            compose_filter([other], FilterSettings())


def test_no_setting_is_without_a_sentence():
    everything: list[Setting] = [*settings(), *of_type(DataSettings)]
    assert [one.path for one in everything if not one.sentence.endswith(".")] == []
    assert [kind.__name__ for kind in (Group, *MODELS.values(), DataSettings) if not kind.__doc__] == []


def test_the_catalogue_has_all_that_a_run_takes():
    assert set(Settings.model_fields) <= {*MODELS, *ALONE}


def test_the_page_is_what_the_command_writes_now(capsys):
    assert main(["settings", "markdown=true"]) == 0
    assert PAGE.read_text(encoding="utf-8") == capsys.readouterr().out, (
        "docs/settings.md is old: python -m curate settings markdown=true > docs/settings.md"
    )


def test_the_command_lists_everything(capsys):
    assert main(["settings"]) == 0
    out = capsys.readouterr().out
    for setting in (*settings(), *of_type(DataSettings)):
        assert re.search(rf"^  {re.escape(setting.path)}(=|$)", out, re.MULTILINE), setting.path
        assert setting.sentence.split()[0] in out
    for group in MODELS:
        for name in group_names(group):
            assert f"{group}={name} " in out


def test_the_command_lists_a_group_and_a_setting(capsys):
    assert main(["settings", "model"]) == 0
    group = capsys.readouterr().out
    assert "model=llavaguard_7b" in group
    assert "(default)" in group
    assert "\n  model.dtype=auto\n" in group
    assert "engine." not in group
    assert main(["settings", "model.rationale_chars"]) == 0
    one = capsys.readouterr().out
    assert "model.rationale_chars=600, in builtin 200" in one
    assert "whole number above 0 up to 4000" in " ".join(one.split())
    assert "model=builtin has 200" in one


@pytest.mark.slow
def test_the_composed_configuration_is_printed_and_nothing_is_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["plan", "+dataset=webdataset", "dataset.shards=/data/cats/{00..11}.tar", "probe=3", "model.dtype=float16"]
    for flag in (["--cfg", "job"], ["--cfg=job"], ["-c", "job"]):
        assert main([*asked, *flag]) == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        assert printed["model"]["dtype"] == "float16"
        assert printed["model"]["decoding"]["seed"] == 0, "defaults that no file lists are there"
        assert printed["output"]["dir"] == "runs/cats"
        assert list(printed)[:3] == ["dataset", "model", "policy"]
    assert main(["run", "+dataset=parquet", "--cfg", "job"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["dataset"]["shards"] == "???"
    assert main(["tune", "data=x", "output.dir=y", "model=qwenguard_3b", "--cfg", "job"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["tune"]["name"] == "qwenguard_3b"
    assert (
        main(["tune", "data", "gold=x", "teacher=llavaguard_7b", "teacher.path=y", "output.dir=z", "--cfg", "job"]) == 0
    )
    assert "tune" not in yaml.safe_load(capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == []


def test_info_says_what_is_chosen(capsys):
    assert main(["run", "+dataset=parquet", "--info"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"dataset +\+dataset=parquet ", out)
    assert re.search(r"policy +policy=drawings ", out), "the built-in model brings its policy"
    assert main(["--info"]) == 0
    assert "configuration in " in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_help_lists_what_a_command_takes(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert main(["help", name]) == 0
    assert capsys.readouterr().out == shown
    said = constants(name)
    assert {"ARGUMENTS", "SETTINGS", "WORDS"} & said.keys(), "what a command takes is said in its file"
    for argument in re.findall(r"^[\w.]+=", said.get("ARGUMENTS", ""), re.MULTILINE):
        assert f"  {argument}" in shown
    if said.get("SETTINGS") == "all":
        assert "model=builtin | " in shown
        assert "+dataset=" in shown
