"""Shards and members that real data sets have and no one wishes for, through the whole job."""

from __future__ import annotations

import json

import pytest

from curate.cli.hydra_config import compose_settings
from curate.cli.program import main
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import open_settings
from tests.support.jobs import fake_run, rows, split_rows, write_tar
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
