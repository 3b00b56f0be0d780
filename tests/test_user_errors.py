"""Wrong inputs: each ends with exit code 2 and one line that says what, where and how to mend it."""

from __future__ import annotations

import shutil

import pytest

from curate.cli import main
from tests.jobs import picture, write_tar

DATA = "+dataset=laion_subset"


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
        (["run", DATA, "dataset.format=zip"], ["zip", "webdataset"]),
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
    ],
)
def test_each_wrong_input_has_its_line(data, capsys, arguments, said):
    engine = (
        ["engine=fake", "engine.workers=0", "output.dir=out"] if arguments[0] == "run" and len(arguments) > 1 else []
    )
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
