"""The whole job through the command line, with the fake engine: the laws of the design, and what users do."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import signal
import subprocess
import tarfile
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from tests.support.jobs import (
    annotation_files,
    command,
    curate,
    environment,
    fake_run,
    judged,
    picture,
    rows,
    split_rows,
    write_tar,
)
from tests.support.verification_cases import commit_as_it_is
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.slow

SLOW = ("engine.args.latency=0.02", "engine.max_requests=4")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Three shards of 30 samples; among them a truncated picture, an empty one, and one that is text."""
    folder = tmp_path_factory.mktemp("data")
    write_tar(folder / "00000.tar", range(30), broken={3: picture(3)[:200], 7: b""})
    write_tar(folder / "00001.tar", range(30, 60), broken={31: b"<html>gone</html>"})
    write_tar(folder / "00002.tar", range(60, 90))
    return folder


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    curate(*fake_run(f"{shards}/{{00000..00002}}.tar", folder))
    return folder


def failing_engine(folder, faults):
    """An override that chooses a fake engine with `faults` by hash of the picture."""
    path = folder / "failing.yaml"
    path.write_text(json.dumps({"name": "fake", "workers": 0, "args": {"fail": faults}}))
    return f"engine={path}"


def source_samples(shards):
    """What webdataset itself finds in the shards, in order."""
    urls = [str(p) for p in sorted(shards.glob("*.tar"))]
    return list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))


def test_one_fate_for_each_sample(shards, undisturbed):
    found = rows(undisturbed)
    expected = source_samples(shards)
    assert [(r["key"], r["sha256"]) for r in found] == [
        (s["__key__"], hashlib.sha256(s["jpg"]).hexdigest()) for s in expected
    ]
    assert len({(r["shard"], r["index"]) for r in found}) == len(found) == 90
    assert {r["key"]: r["status"] for r in found if r["status"] != "labelled"} == {
        "000000003": "undecodable",
        "000000007": "undecodable",
        "000000031": "unsupported_format",
    }
    assert {r["rating"] for r in found} == {"Safe", "Unsafe", None}
    assert all((r["rating"] is None) == (r["status"] != "labelled") for r in found)


def test_meta_is_the_sidecar(undisturbed):
    meta = json.loads(rows(undisturbed)[5]["meta"])
    assert meta["caption"] == "picture 5"
    assert meta["url"] == "http://example.org/5"


def test_splits_partition_the_samples_and_keep_their_bytes(shards, undisturbed):
    images = {s["__key__"]: s["jpg"] for s in source_samples(shards)}
    seen = []
    for split in ("clean", "review", "unsafe", "failed"):
        for row in split_rows(undisturbed, split):
            seen.append(row["key"])
            assert row["image"]["bytes"] == images[row["key"]], row["key"]
            assert (row["rating"] is None) == (split == "failed")
    assert sorted(seen) == sorted(images)


def test_running_again_does_nothing_and_says_so(undisturbed, shards):
    before = {p: p.stat().st_mtime_ns for p in undisturbed.rglob("*.parquet") if p.name != "plan.parquet"}
    done = curate(*fake_run(f"{shards}/{{00000..00002}}.tar", undisturbed))
    assert "finished before" in done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in undisturbed.rglob("*.parquet") if p.name != "plan.parquet"}


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_run_equals_an_undisturbed_one(shards, undisturbed, tmp_path, seed):
    chance = random.Random(seed)
    arguments = fake_run(f"{shards}/{{00000..00002}}.tar", tmp_path / "run", *SLOW)
    for _ in range(2):
        process = subprocess.Popen(command(*arguments), env=environment(), stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(1.0, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    curate(*fake_run(f"{shards}/{{00000..00002}}.tar", tmp_path / "run"))
    assert annotation_files(tmp_path / "run") == annotation_files(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_drained_run_says_so_and_goes_on(shards, undisturbed, tmp_path, number):
    folder = tmp_path / "run"
    slow = ("engine.args.latency=0.1", "engine.max_requests=2", "job.lease=1")  # a heartbeat every quarter of a second
    arguments = fake_run(f"{shards}/{{00000..00002}}.tar", folder, *slow)
    process = subprocess.Popen(command(*arguments), env=environment(), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(judged(folder).values()), "no sample was judged", alive=process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 75, errors
    assert "run the same command again" in errors
    assert list(folder.glob("work/claims/*")) == []
    assert list(folder.glob("work/parts/*/*/*")), "what was judged before the signal is checkpointed"
    curate(*fake_run(f"{shards}/{{00000..00002}}.tar", folder))
    assert annotation_files(folder) == annotation_files(undisturbed)


def test_the_number_of_workers_changes_nothing(shards, undisturbed, tmp_path):
    folder = tmp_path / "run"
    arguments = ["annotate", *fake_run(f"{shards}/{{00000..00002}}.tar", folder, *SLOW)[1:]]
    workers = [subprocess.Popen(command(*arguments), env=environment(), stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [w.wait(timeout=HANG_SECONDS) for w in workers] == [0, 0, 0]
    assert annotation_files(folder) == annotation_files(undisturbed)


def test_another_model_or_policy_over_the_same_folder_is_refused(shards, undisturbed):
    arguments = fake_run(f"{shards}/{{00000..00002}}.tar", undisturbed, "policy.categories.O6.enforced=false")
    error = curate(*arguments, code=2).stderr
    assert "another fingerprint" in error
    assert "policy.text" in error
    assert "choose another output.dir" in error


def test_filter_splits_again_without_judging(undisturbed, shards, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    before = annotation_files(folder)
    curate("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.2")
    assert annotation_files(folder) == before
    assert {r["key"] for r in split_rows(folder, "unsafe")} == {
        r["key"] for r in rows(folder) if r["p_unsafe"] is not None and r["p_unsafe"] >= 0.2
    }
    error = curate("filter", f"output.dir={folder}", "policy=kids", code=2).stderr
    assert "would change labels" in error


def test_verify_finds_nothing_wrong(undisturbed):
    curate("verify", f"output.dir={undisturbed}")


def test_other_shards_are_refused_until_extend(shards, tmp_path):
    folder = tmp_path / "run"
    curate(*fake_run(f"{shards}/{{00000..00001}}.tar", folder))
    assert "extend=true" in curate(*fake_run(f"{shards}/{{00000..00002}}.tar", folder), code=2).stderr
    curate(*fake_run(f"{shards}/{{00000..00002}}.tar", folder, "extend=true"))
    assert len(rows(folder)) == 90


def test_a_first_try_grows_to_the_whole_data_set(shards, undisturbed, tmp_path):
    data, folder = f"{shards}/{{00000..00002}}.tar", tmp_path / "run"
    curate(*fake_run(data, folder, "dataset.limit=40"))
    first = rows(folder)
    refused = curate(*fake_run(data, folder), code=2)
    assert "dataset.limit=null: the run was planned with 40; add extend=true to judge the rest too" in refused.stderr
    assert rows(folder) == first, "nothing was touched"
    curate(*fake_run(data, folder, "dataset.limit=50", "extend=true"))
    assert len(rows(folder)) == 50
    lower = curate(*fake_run(data, folder, "dataset.limit=45", "extend=true"), code=2)
    assert "dataset.limit=45: the run was planned with 50; leave it so" in lower.stderr
    curate(*fake_run(data, folder, "extend=true"))
    assert rows(folder) == rows(undisturbed)
    assert split_rows(folder, "clean") == split_rows(undisturbed, "clean")
    curate("verify", f"output.dir={folder}")


def test_labels_of_a_first_try_are_kept_when_it_grows(shards, tmp_path):
    data, folder = f"{shards}/00000.tar", tmp_path / "run"
    curate(*fake_run(data, folder, "dataset.limit=4", "policies=[drawings,kids]"))
    (path,) = (folder / "annotations/kids").glob("*.parquet")
    table = pq.read_table(path)
    # As if another model had said it: a label that is judged again would lose it.
    marked = table.set_column(table.schema.get_field_index("rationale"), "rationale", pa.array(["kept"] * len(table)))
    pq.write_table(marked.replace_schema_metadata(table.schema.metadata), path)
    commit_as_it_is(path)
    curate(*fake_run(data, folder, "dataset.limit=9", "extend=true", "policies=[drawings,kids]"))
    assert [row["rationale"] == "kept" for row in rows(folder, "kids")] == [True] * 4 + [False] * 5


def test_what_was_judged_in_part_is_in_no_clean_split(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("white", "red", "lime", "blue", "black")]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, body in (
            ("a.gif", animated.getvalue()),
            ("b.jpg", picture(1)),
            ("c.jpg", picture(1)),
            ("c.avif", b"\0\0\0\x1cftypavif, and nothing more"),
            ("d.gif", animated.getvalue()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    folder = tmp_path / "run"
    curate(*fake_run(tmp_path / "0.tar", folder, "filter.thresholds.unsafe=1"))
    details = {(row["key"], row["image_name"]): row["detail"] for row in rows(folder) if row["image_name"] != "avif"}
    assert details == {
        ("a", "gif"): "2 of 5 frames not judged",
        ("b", "jpg"): None,
        ("c", "jpg"): None,
        ("d", "gif"): "2 of 5 frames not judged",
    }, "also where a label is taken from the same picture"
    assert [row["reused_from"] is None for row in rows(folder)] == [True, True, False, True, False]
    assert {row["key"] for row in split_rows(folder, "clean")} == {"b"}
    assert {row["key"] for row in split_rows(folder, "review")} == {"a", "d"}
    assert {row["key"] for row in split_rows(folder, "failed")} == {"c"}
    assert "2 to review: not all of it was judged" in curate("filter", f"output.dir={folder}").stdout
    curate("verify", f"output.dir={folder}")


def test_a_limit_takes_the_first_samples(shards, undisturbed, tmp_path):
    curate(*fake_run(f"{shards}/{{00000..00002}}.tar", tmp_path / "run", "dataset.limit=40"))
    limited = [(r["key"], r["rating"]) for r in rows(tmp_path / "run")]
    assert limited == [(r["key"], r["rating"]) for r in rows(undisturbed)][:40]


def test_retry_judges_chosen_statuses_again_and_keeps_the_rest(shards, undisturbed, tmp_path):
    folder = tmp_path / "run"
    bad = hashlib.sha256(picture(40)).hexdigest()
    failing = failing_engine(tmp_path, {bad[:12]: "invalid"})
    curate(*fake_run(f"{shards}/{{00000..00002}}.tar", folder, failing, "budget.engine=5"))
    assert [r["key"] for r in rows(folder) if r["status"] == "invalid_output"] == ["000000040"]
    before = annotation_files(folder)
    done = curate(*fake_run(f"{shards}/{{00000..00002}}.tar", folder, "retry=[invalid_output]"))
    assert "1 rows to judge again" in done.stdout
    after = annotation_files(folder)
    assert after == annotation_files(undisturbed)
    assert sum(before[name] != after[name] for name in before) == 1


def test_a_shard_that_breaks_off_is_judged_as_far_as_it_goes_and_again_when_repaired(shards, undisturbed, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(shards, data)
    whole = (data / "00001.tar").read_bytes()
    (data / "00001.tar").write_bytes(whole[: len(whole) // 2])
    folder = tmp_path / "run"
    done = curate(*fake_run(f"{data}/{{00000..00002}}.tar", folder))
    assert "00001" in done.stdout
    assert "breaks off after" in " ".join(done.stdout.split()), "in whatever rows"
    assert 60 < len(rows(folder)) < 90
    curate(*fake_run(f"{data}/{{00000..00002}}.tar", folder))
    assert 60 < len(rows(folder)) < 90, "an unchanged shard is not judged again"
    (data / "00001.tar").write_bytes(whole)
    done = curate(*fake_run(f"{data}/{{00000..00002}}.tar", folder))
    assert "breaks off" not in " ".join(done.stdout.split())
    assert [(r["key"], r["rating"]) for r in rows(folder)] == [(r["key"], r["rating"]) for r in rows(undisturbed)]
    assert sorted(k for s in ("clean", "review", "unsafe", "failed") for k in [r["key"] for r in split_rows(folder, s)])


def test_several_policies_share_one_reading(shards, undisturbed, tmp_path):
    folder = tmp_path / "run"
    curate(*fake_run(f"{shards}/{{00000..00002}}.tar", folder, "policies=[drawings,kids]"))
    assert len(rows(folder, "kids")) == len(rows(folder, "drawings")) == 90
    judged = [(r["key"], r["rating"], r["category"]) for r in rows(folder)]
    assert judged == [(r["key"], r["rating"], r["category"]) for r in rows(undisturbed)]
    unsafe = {r["key"] for policy in ("kids", "drawings") for r in rows(folder, policy) if r["rating"] == "Unsafe"}
    assert {r["key"] for r in split_rows(folder, "unsafe")} == unsafe


def test_another_policy_alone_does_not_replace_the_splits_of_the_first(shards, tmp_path):
    folder = tmp_path / "run"
    curate(*fake_run(f"{shards}/00000.tar", folder))
    card, record = (folder / "README.md").read_bytes(), (folder / "run.yaml").read_bytes()
    error = curate(*fake_run(f"{shards}/00000.tar", folder, "policy=kids"), code=2).stderr
    assert error.splitlines()[-1].startswith("curate: output.dir=")
    assert "judged under drawings" in error
    assert "policies=[drawings,kids]" in error
    assert ((folder / "README.md").read_bytes(), (folder / "run.yaml").read_bytes()) == (card, record)
    assert not (folder / "annotations/kids").exists()
    curate(*fake_run(f"{shards}/00000.tar", folder, "policies=[drawings,kids]"))
    unsafe = {r["key"] for policy in ("kids", "drawings") for r in rows(folder, policy) if r["rating"] == "Unsafe"}
    assert {r["key"] for r in split_rows(folder, "unsafe")} == unsafe
    assert "policies=[drawings,kids]" in curate(*fake_run(f"{shards}/00000.tar", folder), code=2).stderr


def test_too_many_failures_stop_the_run(shards, tmp_path):
    failing = failing_engine(tmp_path, {f"{digit:x}": "invalid" for digit in range(16)})
    arguments = fake_run(f"{shards}/00000.tar", tmp_path / "run", failing, "budget.grace=5")
    error = curate(*arguments, code=3).stderr
    assert "invalid_output" in error
    assert "budget.engine" in error
