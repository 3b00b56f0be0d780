"""Paths with every character that means something to Hydra, to a shell or to a glob, in every setting that is one."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from curate.cli.hydra_config import compose_settings
from curate.cli.path_values import listed, path_of, paths_of
from curate.cli.program import main
from curate.launch.slurm import write_scripts
from curate.settings.job import JobSettings
from tests.support.jobs import write_tar

NAMES = [
    "dt=2024-01-01", "My Pictures (1)", "a,b", "c#1", "d@e", "ümläut 猫", "it's", "50%", "[x]", "{y", "2024", "1e3",
    "2024_01", "true", "null", "a: b", "sort(a)", "[a]-[b]", "x&y;z", "back\\slash", 'say "no"', "~tilde",
]  # fmt: skip
DATA = ["+dataset=folder", "dataset.shards=."]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_settings_that_are_paths_are_what_was_typed(name):
    given = [f"output.dir=runs/{name}", f"reuse={name}/run", "model=local", f"model.path={name}/m"]
    settings = compose_settings([*DATA, *given])
    assert settings.output.dir == f"runs/{name}"
    assert settings.reuse == [f"{name}/run"]
    assert settings.model.path == f"{name}/m"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "null"])
@pytest.mark.slow
def test_a_name_alone_is_a_path_too(name):
    assert compose_settings([*DATA, f"output.dir={name}"]).output.dir == name


@pytest.mark.slow
def test_what_is_quoted_listed_or_repeated():
    def composed(*given):
        return compose_settings([*DATA, *given])

    assert composed("output.dir='my run'").output.dir == "my run"
    assert composed('output.dir="it\'s"').output.dir == "it's"
    assert composed("reuse=[a b,c=d]").reuse == ["a b", "c=d"]
    assert composed("reuse=a b", "reuse=c").reuse == ["a b", "c"]
    assert composed("reuse=[~/a,'~/b c']").reuse == [str(Path.home() / "a"), str(Path.home() / "b c")]
    assert composed("reuse=[]").reuse == []
    assert composed("output.dir=runs/${dataset.name}/x").output.dir.startswith("runs/")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[a,b]", ["a", "b"]),
        ("[x]/0.tar", ["[x]/0.tar"]),
        ("[a]/[b]", ["[a]/[b]"]),
        ("[a[0-2].tar,b]", ["a[0-2].tar", "b"]),
        ("[{a,b}.tar,'c,d']", ["{a,b}.tar", "c,d"]),
        ("[", ["["]),
        ("", [""]),
    ],
)
def test_lists(text, items):
    assert listed(text) == items


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("null", "true")])
@pytest.mark.slow
def test_files_for_groups_and_their_own_settings(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    policy = {"name": "mine", "categories": {"O1": {"name": "Hate", "enforced": True, "should_not": ["show hate"]}}}
    Path(f"{name}.yaml").write_text(yaml.safe_dump(policy))
    settings = compose_settings([*DATA, f"policy={name}.yaml"])
    assert list(settings.policies) == ["mine"]
    Path(f"{name}.yaml").write_text("thresholds: {unsafe: 0.25}\n")
    assert compose_settings([*DATA, f"filter={name}.yaml"]).filter.thresholds.unsafe == 0.25


def test_two_files_of_one_stem(tmp_path):
    for name in ("one", "two (2), b=c"):
        (tmp_path / name).mkdir()
        category = f"{{name: Of {name[:3]}, should_not: [be]}}"
        (tmp_path / name / "mine.yaml").write_text(f"name: {name[:3]}\ncategories: {{O1: {category}}}\n")
    settings = compose_settings([*DATA, f"policies=[{tmp_path}/one/mine.yaml,'{tmp_path}/two (2), b=c/mine.yaml']"])
    found = {name: policy.categories["O1"].name for name, policy in settings.policies.items()}
    assert found == {"one": "Of one", "two": "Of two"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a,b (1)", "dt=1 [x] #2", "ü'\"~ 50%"])
def test_a_run_in_such_a_folder_goes_through_every_command(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name
    folder.mkdir()
    write_tar(folder / "0.tar", [0, 1])
    fake = ["engine=fake", "engine.workers=0"]
    assert main(["run", "+dataset=webdataset", f"dataset.shards={name}/0.tar", f"output.dir={name}/run", *fake]) == 0
    load = next(line for line in capsys.readouterr().out.splitlines() if "load_dataset" in line)
    done = subprocess.run([sys.executable, *shlex.split(load)[1:]], capture_output=True, text=True, check=True)
    assert "num_rows: 2" in done.stdout
    for command in (["filter", "filter.thresholds.unsafe=0.9"], ["status"], ["compact"], ["verify"]):
        assert main([*command, f"output.dir={name}/run"]) == 0, capsys.readouterr()
    gold = pl.DataFrame({"key": ["000000000", "000000001"], "rating": ["Safe", "Unsafe"]})
    gold.write_csv(folder / "gold.csv")
    gold.write_parquet(folder / "gold.parquet")
    gold.write_ndjson(folder / "gold.jsonl")
    for kind in ("csv", "parquet", "jsonl"):
        measured = [f"gold={name}/gold.{kind}", f"output.dir={name}/measured"]
        assert main(["evaluate", f"predictions={name}/run", *measured]) == 0, capsys.readouterr()
    again = [f"reuse={name}/run", f"output.dir={name}/again"]
    assert main(["run", "+dataset=webdataset", f"dataset.shards={name}/0.tar", *again, *fake]) == 0
    assert json.loads((folder / "measured" / "metrics.json").read_text())


def test_paths_of_arguments_that_are_no_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a,b.csv").touch()
    Path("'odd'").touch()
    assert paths_of("a,b.csv") == ["a,b.csv"]
    assert paths_of("x.csv,y z.csv") == ["x.csv", "y z.csv"]
    assert paths_of("[x.csv,'y,z.csv']") == ["x.csv", "y,z.csv"]
    assert paths_of("~/x,~/y") == [str(Path.home() / "x"), str(Path.home() / "y")]
    assert path_of("'my gold.csv'") == "my gold.csv"
    assert path_of("'odd'") == "'odd'"
    assert path_of("~") == str(Path.home())


def test_job_scripts_in_such_a_folder(tmp_path):
    folder = tmp_path / 'my "runs" #1 50%'
    annotate, _ = write_scripts(folder, "my set", JobSettings(name="slurm"), ["x"], str(folder))
    lines = annotate.read_text().splitlines()
    assert '#SBATCH --job-name="my set"' in lines
    escaped = str(folder).replace('"', '\\"').replace("%", "%%")
    assert f'#SBATCH --output="{escaped}/logs/%A_%a.out"' in lines
