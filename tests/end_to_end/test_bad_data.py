"""Shards and members that real data sets have and no one wishes for, through the whole job."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys

import pytest

from curate.annotation.worker import LOSSES
from curate.cli.hydra_config import compose_settings
from curate.cli.program import main
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import open_settings
from curate.sources import webdataset
from tests.support.jobs import command, fake_run, rows, split_rows, write_tar
from tests.support.source_cases import members_of, picture, read_tar, tar_bytes

LONG = "c" * 10_000
HOSTILE = [
    ("../../escaped.jpg", picture(0)),
    ("/absolute.jpg", picture(1)),
    ("latin-\udce9.jpg", picture(2)),
    ("nül\0byte.jpg", picture(3)),  # pax records hold NUL; in the plain header it would end the name
    ("long.jpg", picture(4)),
    ("long.txt", LONG.encode()),
    ("nul.jpg", picture(5)),
    ("nul.txt", b"a\0b"),
    ("broken.jpg", picture(6)),
    ("broken.json", b'{"url": '),
    ("list.jpg", picture(7)),
    ("list.json", b"[1, 2]"),
    ("deep.jpg", picture(8)),
    ("deep.json", b"[" * 100_000),
]


@pytest.mark.slow
def test_hostile_names_and_sidecars_cost_nothing(tmp_path):
    """A row for each, the caption whole, the reason where a sidecar does not parse, and nothing written elsewhere."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.tar").write_bytes(tar_bytes(HOSTILE))
    known, _ = read_tar(tmp_path / "again.tar", tar_bytes(HOSTILE))
    (tmp_path / "again.tar").unlink()
    folder = tmp_path / "data/run"
    assert main(fake_run(f"{tmp_path}/data/a.tar", folder)) == 0
    found = rows(folder)
    assert [row["status"] for row in found] == ["labelled"] * 9
    assert [row["key"] for row in found] == [sample.key for sample in known]
    meta = {row["key"]: json.loads(row["meta"]) for row in found}
    assert meta["long"]["caption"] == LONG
    assert meta["nul"]["caption"] == "a\0b"
    assert all("json_error" in meta[key] for key in ("broken", "list", "deep"))
    kept = [row["image"]["bytes"] for split in ("clean", "review", "unsafe") for row in split_rows(folder, split)]
    assert sorted(kept) == sorted(body for name, body in HOSTILE if name.endswith("jpg"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["a.tar", "run"]
    assert main(["verify", f"output.dir={folder}"]) == 0


def test_a_tar_without_members_is_a_shard_without_rows(tmp_path):
    (tmp_path / "empty.tar").write_bytes(tar_bytes([]))
    write_tar(tmp_path / "full.tar", range(3))
    assert main(fake_run(f"{tmp_path}/*.tar", tmp_path / "run")) == 0
    assert len(rows(tmp_path / "run")) == 3
    assert len(list((tmp_path / "run").glob("commits/*/*.json"))) == 2
    assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 0


@pytest.mark.parametrize("change", ["vanishes", "changes"])
@pytest.mark.slow
def test_a_shard_that_vanishes_or_changes_is_named_and_judged_when_it_is_back(tmp_path, change):
    for number in range(2):
        (tmp_path / f"{number}.tar").write_bytes(tar_bytes(members_of(4 + number)))
    settings = compose_settings(fake_run(f"{tmp_path}/*.tar", tmp_path / "run")[1:])
    planned = open_settings(settings)
    shard, aside = tmp_path / "1.tar", tmp_path / "aside"
    shard.rename(aside)
    if change == "changes":
        shard.write_bytes(tar_bytes(members_of(40)))
    (reason,) = annotate(planned).unreadable.values()
    assert "1.tar" in reason
    assert len(rows(tmp_path / "run")) == 4
    assert len(list((tmp_path / "run").glob("failures/*.json"))) == 1
    aside.rename(shard)
    assert not annotate(open_settings(settings)).unreadable
    assert len(rows(tmp_path / "run")) == 9
    assert not list((tmp_path / "run").glob("failures/*.json"))


@pytest.mark.slow
def test_a_reader_that_fails_in_a_way_nobody_knows_costs_its_shard_alone(tmp_path, monkeypatch, capsys):
    """A fake: the readers' own errors are all known by now."""
    for number in range(3):
        write_tar(tmp_path / f"{number}.tar", range(number * 10, number * 10 + 4))
    whole = webdataset._samples

    def odd(group, index, dataset):
        if group.key == b"000000012":
            raise KeyError("no such codec")
        yield from whole(group, index, dataset)

    monkeypatch.setattr(webdataset, "_samples", odd)
    assert main(fake_run(f"{tmp_path}/?.tar", tmp_path / "run")) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1 shards could not be read" in said
    assert "1.tar: its reader failed behind key '000000011' (KeyError: 'no such codec')" in said
    assert len(rows(tmp_path / "run")) == 8
    monkeypatch.undo()
    assert main(fake_run(f"{tmp_path}/?.tar", tmp_path / "run")) == 0
    assert len(rows(tmp_path / "run")) == 12


READS_AND_DIES = """
import os, sys
from curate.cli.program import main
from curate.sources import webdataset
whole = webdataset._samples
def poisoned(group, index, dataset):
    if group.key == b"000000012":
        os._exit(9)  # as the kernel does with a process that takes too much
    yield from whole(group, index, dataset)
webdataset._samples = poisoned
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_shard_that_ends_every_worker_is_left_out_in_the_end(tmp_path):
    for number in range(3):
        write_tar(tmp_path / f"{number}.tar", range(number * 10, number * 10 + 4))
    arguments = fake_run(f"{tmp_path}/?.tar", tmp_path / "run", "engine.shards_in_flight=1")
    codes = []
    while not codes or codes[-1] == 9:
        done = subprocess.run([sys.executable, "-c", READS_AND_DIES, *arguments], capture_output=True, text=True)
        codes.append(done.returncode)
    assert codes == [9] * LOSSES + [2]
    assert f"1.tar: {LOSSES} workers ended over it, none of them any further" in done.stderr.strip().splitlines()[-1]
    assert len(rows(tmp_path / "run")) == 8
    again = subprocess.run([sys.executable, "-c", READS_AND_DIES, *arguments], capture_output=True, text=True)
    assert again.returncode == 2
    (failure,) = (tmp_path / "run/failures").iterdir()
    failure.unlink()
    assert main(arguments) == 0  # without what ended them
    assert len(rows(tmp_path / "run")) == 12
    assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 0


@pytest.mark.slow
def test_a_sidecar_is_no_larger_in_a_row_than_can_be_read(tmp_path):
    """A few kilobytes of gzip that hold a caption of 300 MB, and one of 2 MB in a plain tar."""
    members = [("a.jpg", picture(1)), ("a.txt", bytes(300 * 2**20)), ("b.jpg", picture(2)), ("b.txt", b"x" * 2**21)]
    (tmp_path / "0.tar.gz").write_bytes(gzip.compress(tar_bytes(members), 1))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done = subprocess.run(command(*fake_run(f"{tmp_path}/0.tar.gz", tmp_path / "run")), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(memory, 2.5 * 2**20)
    assert [json.loads(row["meta"]) for row in rows(tmp_path / "run")] == [
        {"members_left_out": {"txt": f"{300 * 2**20} bytes"}},
        {"members_left_out": {"txt": f"{2**21} bytes"}},
    ]
    assert [row["status"] for row in rows(tmp_path / "run")] == ["labelled"] * 2
    assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 0


@pytest.mark.slow
def test_what_is_too_large_to_be_copied_is_failed_and_said(tmp_path, monkeypatch):
    """A sample beyond the bound of one goes to `failed` without its bytes; the bound is lowered, to save gigabytes."""
    for module in ("base", "webdataset"):
        monkeypatch.setattr(f"curate.sources.{module}.MOST_BYTES", 4000)
    monkeypatch.setattr("curate.sources.webdataset._SIDECAR_BYTES", 4000)
    members = [
        ("a.jpg", picture(1)),
        ("b.png", picture(2, "PNG") + bytes(8000)),
        ("c.jpg", picture(3)),
        ("c.mp4", bytes(9000)),
    ]
    (tmp_path / "0.tar").write_bytes(tar_bytes(members))
    job = [*fake_run(f"{tmp_path}/0.tar", tmp_path / "run"), "dataset.max_bytes=3000"]
    for write in ("parquet", "webdataset", "index"):
        assert main([*job, f"filter.write={write}"]) == 0
        assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 0
    statuses = {row["key"]: row["status"] for row in rows(tmp_path / "run")}
    assert statuses == {"a": "labelled", "b": "too_many_bytes", "c": "too_many_bytes"}
