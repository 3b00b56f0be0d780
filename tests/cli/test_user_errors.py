"""Wrong inputs: each ends with exit code 2 and one line that says what, where and how to mend it."""

from __future__ import annotations

import importlib
import shutil

import pytest

from curate.cli.command_names import NAMES
from curate.cli.program import main
from tests.support.jobs import picture, write_tar

DATA = "+dataset=laion_subset"


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """Where importing takes long it is said, which is no line of an error."""
    for name in NAMES:
        importlib.import_module(f"curate.cli.commands.{name}")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Shards 00000 to 00002 and 00004, a broken YAML and a policy with an image placeholder."""
    monkeypatch.chdir(tmp_path)
    for number in (0, 1, 2, 4):
        write_tar(tmp_path / f"{number:05d}.tar", [number])
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("not a shard")
    (tmp_path / "broken.yaml").write_text("a: [1, 2")
    (tmp_path / "one.jpg").write_bytes(picture(1))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], ["rum", "no such command", "run"]),
        (["run"], ["dataset", "+dataset=", "laion_subset"]),
        (["run", "+dataset=laion"], ["dataset=laion", "no such dataset", "laion_subset"]),
        (["run", DATA, "model=gpt5"], ["model=gpt5", "no such model", "builtin"]),
        (["run", DATA, "policy=nobody"], ["policy=nobody", "no such policy", "llavaguard"]),
        (["run", DATA, "policies=[llavaguard,nobody]"], ["policy=nobody", "no such policy"]),
        (["run", DATA, "policies=[kids,kids]"], ["policies", "kids", "twice"]),
        (["run", DATA, "policy=./mine.yaml"], ["./mine.yaml", "no such file"]),
        (["run", DATA, "policy=broken.yaml"], ["broken.yaml", "YAML"]),
        (["run", DATA, "dataset.shard=x.tar"], ["dataset.shard", "no such setting"]),
        (["run", DATA, "dataset.limit=many"], ["dataset.limit", "integer", "many"]),
        (["run", DATA, "dataset.limit=0"], ["dataset.limit", "greater than 0"]),
        (["run", DATA, "model.rationale=some"], ["model.rationale", "all", "unsafe", "none"]),
        (["run", DATA, "engine.max_requests=-1"], ["engine.max_requests"]),
        (["run", DATA, "dataset.shards={00000..00004}.tar"], ["00003", "missing"]),
        (["run", DATA, "dataset.shards=nothing-*.tar"], ["nothing-*.tar", "no"]),
        (["run", DATA, "dataset.shards=[00000.tar,00000.tar]"], ["00000.tar", "twice"]),
        (["run", DATA, "dataset.shards=empty"], ["empty"]),
        (["run", DATA, "dataset.shards=note.txt"], ["note.txt"]),
        (["run", DATA, "dataset.shards=00009.tar"], ["00009.tar"]),
        (["run", DATA, "dataset.shards=s4://bucket/x.tar"], ["s4"]),
        (["run", DATA, "dataset.format=zap"], ["zap", "webdataset"]),
        (["run", "+dataset=parquet"], ["dataset.shards", "no value"]),
        (["run", DATA, "policy.categories.O6.enforce=false"], ["O6.enforce", "no such setting"]),
        (["run", DATA, "policy.categories.O1.name='a <image>'"], ["O1", "<image>"]),
        (["run", DATA, "model=local"], ["model.path", "no value"]),
        (["run", DATA, "model=local", "model.path=nowhere"], ["model.path", "nowhere"]),
        (["run", DATA, "retry=[labelled]"], ["retry", "labelled"]),
        (["run", DATA, "filter.splits.clean='colour > 3'"], ["colour"]),
        (["run", DATA, "+filter.by_category.O99.unsafe=0.5"], ["O99"]),
        (["filter"], ["output.dir"]),
        (["filter", "output.dir=empty"], ["empty", "no run"]),
        (["status", "output.dir=empty"], ["empty", "no run"]),
        # Settings that are misnamed, or have a value of another kind.
        (
            ["run", DATA, "dataset.shard=x.tar"],
            ["dataset.shard: there is no such setting; did you mean dataset.shards?"],
        ),
        (["run", DATA, "+dataset.shard=x.tar"], ["did you mean dataset.shards?"]),
        (["run", DATA, "filter.review=0.2"], ["did you mean filter.thresholds.review?"]),
        (["run", DATA, "output_dir=x"], ["did you mean output.dir?"]),
        (["run", DATA, "model.dtype.x=1"], ["model.dtype.x", "did you mean model.dtype?"]),
        (["run", DATA, "policy.categories.O66.enforced=false"], ["O66", "check the code"]),
        (["run", DATA, "policy.categories.O6.enforce=false"], ["did you mean policy.categories.O6.enforced?"]),
        (["run", DATA, "model=llavaguard7b"], ["did you mean llavaguard_7b?", "builtin"]),
        (["run", DATA, "model=null"], ["model=null", "builtin"]),
        (["run", DATA, "~model"], ["~model", "model=NAME"]),
        (["run", DATA, "model.rationale=all,none"], ["model.rationale=all,none", "all, unsafe or none"]),
        (["run", DATA, "retry=a,b"], ["retry=a,b", "[a,b]"]),
        (["run", DATA, "budget=5"], ["budget.engine, budget.data, budget.grace"]),
        (["run", DATA, "model.decoding=3"], ["model.decoding.temperature"]),
        (["run", DATA, "hydra.run.dir=x"], ["hydra.run.dir", "output.dir=DIR"]),
        (["run", DATA, "tune.epochs=3"], ["tune.epochs", "`tune`"]),
        (["run", DATA, "filter.fields=["], ["filter.fields=[", "{a: 1, b: 2}"]),
        # Data that are not named.
        (["run", "dataset.shards=00000.tar"], ["dataset.shards", "+dataset=NAME", "webdataset", "laion_subset"]),
        (["run", "model=builtin"], ["dataset: none was given", "+dataset=NAME", "folder", "webdataset"]),
        (["run", "+dataset=./00000.tar"], ["+dataset=webdataset dataset.shards=./00000.tar"]),
        (["run", "+dataset=./x.zip"], ["+dataset=files dataset.shards=./x.zip"]),
        (["run", "x.jsonl"], ["+dataset=files dataset.shards=x.jsonl"]),
        (["run", "dataset=nothing"], ["+dataset=nothing", "no such dataset", "laion_subset"]),
        # As other tools have it.
        (["run", "--dataset", "laion_subset"], ["--dataset laion_subset: is written +dataset=laion_subset here"]),
        (["run", "--dataset=laion_subset"], ["is written +dataset=laion_subset here"]),
        (["run", "--dataset", "./one.jpg"], ["python -m curate judge ./one.jpg"]),
        (["run", "--dataset", "user/name"], ["+dataset=hf_dataset dataset.shards=user/name"]),
        (["run", "--data", "empty"], ["+dataset=folder dataset.shards=empty"]),
        (["run", DATA, "--output-dir", "x"], ["--output-dir x: is written output.dir=x here"]),
        (["run", DATA, "-o", "x"], ["is written output.dir=x here"]),
        (["run", DATA, "--model.dtype=float32"], ["is written model.dtype=float32 here"]),
        (["run", DATA, "--dtype", "float32"], ["is written model.dtype=float32 here"]),
        (["run", DATA, "--limit", "5"], ["is written dataset.limit=5 here"]),
        (["run", DATA, "--model"], ["is written model=NAME here"]),
        (["run", DATA, "--batch-size", "8"], ["--batch-size 8", "NAME=VALUE"]),
        (["run", DATA, "--"], ["--: is no argument"]),
        (["run", "laion_subset"], ["laion_subset: is written +dataset=laion_subset here"]),
        (["run", DATA, "medical"], ["is written policy=medical here"]),
        (["run", "00000.tar"], ["+dataset=webdataset dataset.shards=00000.tar"]),
        (["run", DATA, "dataset.limit"], ["dataset.limit: has no value; write dataset.limit=VALUE"]),
        (["run", DATA, "dataset.limit", "=", "5"], ["is written dataset.limit=5 here, without spaces"]),
        (["run", DATA, "model"], ["model=NAME", "builtin"]),
        (["run", DATA, "=5"], ["without spaces around ="]),
        (["run", DATA, "nonsense"], ["nonsense", "NAME=VALUE"]),
        (["filter", "empty"], ["empty: a run's folder is written output.dir=empty here"]),
        (["verify", "empty"], ["output.dir=empty"]),
        (["status", "empty"], ["output.dir=empty"]),
        (["compact", "empty"], ["output.dir=empty"]),
        (["filter", "--output-dir=empty"], ["output.dir=empty"]),
        (["status", "output.dir=empty", "--exact"], ["is written exact=true here"]),
        (["filter", "output.dr=empty"], ["output.dr=empty", "did you mean output.dir=?"]),
        (["status", "output.dir=empty", "exakt=true"], ["did you mean exact=?"]),
        (["verify", "output.dir=empty", "source=false"], ["did you mean sources=?"]),
        (["compact", "output.dir=empty", "part_mb=0"], ["part_mb=0", "from 1 on"]),
        (["plan", DATA, "probe=few"], ["probe=few", "not a number"]),
        (["plan", DATA, "prob=3"], ["prob=3", "did you mean probe=?"]),
        (["evaluate", "--gold", "x.csv"], ["is written gold=x.csv here"]),
        (["evaluate", "runs/x"], ["predictions=runs/x or gold=runs/x"]),
        (["evaluate", "prediction=x"], ["did you mean predictions=?"]),
        (["annotate", "--dataset", "x"], ["is written +dataset=x here"]),
        (["submit", "laion_subset"], ["is written +dataset=laion_subset here"]),
        (["policy", "show", "medical"], ["is written policy=medical here"]),
        (["policy", "shw"], ["show, import"]),
        (["policy", "import", "note.txt", "--name", "x"], ["is written name=x here"]),
        (["tune", "data", "goldd=x"], ["did you mean gold=?"]),
        (["tune", "--epochs", "3"], ["--epochs 3"]),
        (["settings", "modl"], ["modl", "did you mean model?"]),
        (["settings", "model.dtyp"], ["did you mean model.dtype?"]),
        (["settings", "--markdown"], ["is written markdown=true here"]),
        (["completion"], ["bash, zsh, fish"]),
        (["completion", "tcsh"], ["tcsh"]),
        (["rn"], ["did you mean run?"]),
        (["--dataset", "x"], ["+dataset=x"]),
        (["+dataset=laion_subset"], ["python -m curate run +dataset=laion_subset"]),
        # As Hydra has it.
        (["run", DATA, "--multirun"], ["--multirun", "one run"]),
        (["run", DATA, "-m"], ["-m", "one run"]),
        (["run", DATA, "-r"], ["-r: a command runs by itself"]),
        (["run", DATA, "--resolve"], ["--resolve", "--cfg job"]),
        (["run", DATA, "hydra/launcher=joblib"], ["Hydra's own settings change nothing here"]),
        (["run", DATA, "--hydra-help"], ["--hydra-help", "--help, --info and --cfg job"]),
        (["run", DATA, "--cfg", "hydra"], ["--cfg hydra", "--cfg job"]),
        (["run", DATA, "--cfg", "all"], ["--cfg all", "--cfg job"]),
        (["run", DATA, "--config-dir", "x"], ["--config-dir", "model=./mine.yaml"]),
        (["run", DATA, "-sc", "install=bash"], ["completion bash"]),
        (["verify", "--cfg", "job"], ["--cfg", "`verify` has no configuration"]),
        (["filter", "output.dir=empty", "--cfg", "job"], ["--cfg", "run.yaml"]),
        (["run", DATA, "--cfg", "job", "model.dtyp=x"], ["did you mean model.dtype?"]),
        (["--cfg", "job"], ["behind a command"]),
    ],
)
@pytest.mark.slow
def test_each_wrong_input_has_its_line(data, capsys, arguments, said):
    engine = ["engine=fake", "engine.workers=0", "output.dir=out"] if arguments[:2] == ["run", DATA] else []
    shards = (
        []
        if any(a.startswith(("dataset.shards", "+dataset=parquet")) for a in arguments)
        else ["dataset.shards=00000.tar"]
    )
    more = [*shards, *engine] if engine else []
    code = main([*arguments, *more])
    streams = capsys.readouterr()
    assert code == 2, streams
    assert streams.err.count("\n") == 1, streams.err
    assert "Traceback" not in streams.err
    for word in said:
        assert word in streams.err, streams.err


@pytest.mark.slow
def test_other_data_of_the_same_name_are_refused(data, capsys):
    fake = ["engine=fake", "engine.workers=0"]
    for place in ("mine/cats", "yours/cats"):
        (data / place).mkdir(parents=True)
    (data / "00000.tar").rename(data / "mine/cats/00000.tar")
    (data / "00001.tar").rename(data / "yours/cats/00001.tar")
    assert main(["run", "+dataset=webdataset", "dataset.shards=mine/cats/*.tar", *fake]) == 0
    assert "runs/cats" in capsys.readouterr().out
    assert main(["run", "+dataset=webdataset", "dataset.shards=yours/cats/*.tar", *fake]) == 2
    said = capsys.readouterr().err
    assert "other data; choose another output.dir" in said
    assert "extend" not in said, "which would be refused"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["dataset.shards={00000..00002}.tar"],
        ["dataset.shards='{00000..00002}.tar'"],
        ["dataset.shards=0000{0,1,2}.tar"],
        ["dataset.shards=[00000.tar,0000{1..2}.tar]"],
        ["dataset.shards=00000.tar", "dataset.shards=00001.tar", "dataset.shards=00002.tar"],
        ["dataset.shards=0000[0-2].tar"],
    ],
)
def test_shards_as_a_person_or_a_shell_writes_them(data, capsys, arguments):
    code = main(["run", DATA, *arguments, "engine=fake", "engine.workers=0", "output.dir=out"])
    assert code == 0, capsys.readouterr().err
    assert len(list((data / "out").glob("annotations/drawings/*.parquet"))) == 3
    shutil.rmtree(data / "out")
