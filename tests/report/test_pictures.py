"""What of a picture may be seen, whatever several policies say of it; and pictures of every kind of source."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from curate.cli.program import main
from curate.report.facts import gather
from curate.report.pictures import MOSAIC, SIDE
from curate.runs.run_folder import load_run
from tests.support.jobs import fake_run, picture, write_tar
from tests.support.verification_cases import edit_rows

pytestmark = pytest.mark.slow


def rated(row, *, unsafe, p):
    if row["status"] != "labelled":
        return row
    return row | {"rating": "Unsafe" if unsafe else "Safe", "category": "O1" if unsafe else "NA", "p_unsafe": p}


def shown(facts):
    """Every picture by policy."""
    return {
        one.name: [e.picture for e in (*one.examples, *one.nearest) if e.picture is not None] for one in facts.passes
    }


def test_what_one_policy_finds_unsafe_is_a_mosaic_under_all(tmp_path):
    place = tmp_path / "run"
    shard = write_tar(tmp_path / "a.tar", range(30))
    both = fake_run(str(shard), place, "policies=[drawings,kids]", "filter.policy=drawings")
    assert main(both) == 0
    for policy, unsafe, p in (("drawings", False, 0.01), ("kids", True, 0.9)):
        for path in place.glob(f"annotations/{policy}/*.parquet"):
            edit_rows(path, lambda read, u=unsafe, p=p: [rated(row, unsafe=u, p=p) for row in read])
    assert main(["filter", f"output.dir={place}"]) == 0
    facts = gather(load_run(place), plain=False)
    assert facts.splitting.result.splits["clean"] == 30
    unsafe = {(e.shard, e.index) for e in (*facts.passes[1].examples, *facts.passes[1].nearest)}
    both = [e for e in facts.passes[0].examples if (e.shard, e.index) in unsafe]
    assert both
    assert all(e.picture.mosaic for e in both)
    assert all(picture.mosaic for picture in shown(facts)["kids"])


@pytest.mark.parametrize("source", ["tar", "folder", "parquet"])
def test_pictures_come_from_every_kind_of_source(tmp_path, source):
    place = tmp_path / "run"
    if source == "folder":
        (tmp_path / "data").mkdir()
        for seed in range(12):
            (tmp_path / "data" / f"{seed}.png").write_bytes(picture(seed, kind="PNG", size=(300, 200)))
        shards, more = tmp_path / "data", ["dataset.format=folder"]
    elif source == "parquet":
        import polars as pl

        rows = [{"key": str(seed), "image": picture(seed, size=(300, 200))} for seed in range(12)]
        pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
        shards, more = tmp_path / "a.parquet", []
    else:
        shards, more = write_tar(tmp_path / "a.tar", range(12)), []
    assert main(fake_run(str(shards), place, *more)) == 0
    for plain in (False, True):
        pictures = shown(gather(load_run(place), plain=plain))["drawings"]
        assert len(pictures) >= 12
        for one in pictures:
            side = max(Image.open(io.BytesIO(one.data)).size)
            assert side == max(one.width, one.height)
            assert side <= (MOSAIC if one.mosaic else SIDE)
            assert not (plain and one.mosaic)
            assert not one.veiled or plain
        assert any(one.veiled for one in pictures) == plain
