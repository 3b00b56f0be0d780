"""The job with vLLM itself on the built-in sample: the laws, row by row, against an independent reading."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time

import psutil
import pyarrow.parquet as pq
import pytest
import webdataset
from datasets import load_dataset
from PIL import Image

from curate.cli.hydra_config import compose_settings
from curate.core.package_files import packaged
from curate.engines.dtype import cpu_flags, fastest
from curate.judges.questions import questions_of
from tests.support.jobs import command, curate, environment, rows, split_rows
from tests.support.vllm_equality import compare
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.vllm

TARS = [packaged(f"data/laion_subset/0000{n}.tar") for n in range(4)]
PARQUET = packaged("data/laion_subset/images-00004.parquet")
FASTEST = fastest(cpu_flags())
(OTHER,) = {"float32", "bfloat16"} - {FASTEST}
IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif")


def independent_samples():
    """Key, image bytes and sidecar of every sample of the sources, by webdataset and pyarrow alone."""
    for sample in webdataset.WebDataset(TARS, shardshuffle=False, empty_check=False):
        image = next((sample[suffix] for suffix in IMAGES if suffix in sample), None)
        yield sample["__key__"], image
    for row in pq.read_table(PARQUET).to_pylist():
        yield row["key"], (row["image"] or {}).get("bytes")


@pytest.fixture(scope="module")
def expected():
    return list(independent_samples())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder and the output of `run +dataset=laion_subset` from any folder, with the built-in safeguard."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = curate("run", "+dataset=laion_subset", "output.dir=run", cwd=elsewhere)
    return elsewhere / "run", done


def test_every_sample_has_one_row_in_order(finished, expected):
    found = rows(finished[0])
    assert len(found) == len(expected) == 300
    for row, (key, image) in zip(found, expected, strict=True):
        assert row["key"] == key
        assert row["sha256"] == (hashlib.sha256(image).hexdigest() if image is not None else None)
    assert len({(r["shard"], r["index"]) for r in found}) == 300


def test_labels_are_the_policys_own_and_failures_are_none(finished):
    question = questions_of(compose_settings(["+dataset=laion_subset"]))[0]
    codes = {category.partition(": ")[0] for category in question.categories}
    violable = {category.partition(": ")[0] for category in question.violable}
    for row in rows(finished[0]):
        if row["status"] == "labelled":
            assert row["category"] in (violable if row["rating"] == "Unsafe" else codes)
            assert row["rationale"]
            assert (row["p_unsafe"] > 0.5) == (row["rating"] == "Unsafe") or abs(row["p_unsafe"] - 0.5) < 1e-6
            assert 0 < row["label_mass"] <= 1.001
            assert row["prompt_tokens"] > 0
            assert row["output_tokens"] > 0
        else:
            assert row["rating"] is row["category"] is row["rationale"] is row["p_unsafe"] is None
            assert row["detail"]
    assert {r["rating"] for r in rows(finished[0])} == {"Safe", "Unsafe", None}


def test_the_odd_members_have_their_statuses(finished):
    statuses = {}
    for row in rows(finished[0]):
        statuses[row["status"]] = statuses.get(row["status"], 0) + 1
    assert statuses == {
        "labelled": 294, "undecodable": 2, "unsupported_format": 1, "too_many_pixels": 1, "missing_image": 2,
    }  # fmt: skip


def test_splits_hold_every_sample_once_with_its_bytes(finished, expected):
    images = dict(expected)
    seen = []
    for split in ("clean", "review", "unsafe", "failed"):
        for row in split_rows(finished[0], split):
            seen.append(row["key"])
            assert (row["image"] or {}).get("bytes") == images[row["key"]]
    assert sorted(seen) == sorted(images)


def test_datasets_loads_what_the_card_names(finished):
    folder = str(finished[0])
    annotations = load_dataset(folder, "annotations", split="train")
    clean = load_dataset(folder, "clean", split="train")
    assert annotations.num_rows == 300
    whole = [r for r in rows(finished[0]) if r["rating"] == "Safe" and r["detail"] is None]
    assert clean.num_rows == len(whole), "the animation, of which one frame was judged, is not among them"
    assert isinstance(clean[0]["image"], Image.Image)


def test_the_output_shows_what_came_out_and_what_the_safeguard_cannot_do(finished):
    _, done = finished
    for words in ("300 samples", "found ", "examples", "splits", "README.md", "datasets.load_dataset("):
        assert words in done.stdout
    assert "Mind: " in done.stdout
    assert "drawings" in done.stdout
    waited_for = "importing|listing the shards|loading the model|judging the first images|splitting|writing the card"
    ours = re.compile(rf"[1-9]\d* images, .*|(?:{waited_for}|summing up)(?:, usually [\dms ]+)?")
    assert [line for line in done.stderr.splitlines() if not ours.fullmatch(line)] == [], "third parties are not heard"
    assert sum(line.startswith("loading the model") for line in done.stderr.splitlines()) == 1


def test_the_summary_says_in_which_number_format(finished):
    assert f"300 samples judged by builtin in {FASTEST}\n" in finished[1].stdout


def test_the_other_number_format_rates_alike_and_a_run_begun_in_it_goes_on_in_it(finished, tmp_path):
    folder = tmp_path / "run"
    first = ("+dataset=laion_subset", f"output.dir={folder}", "dataset.limit=90")
    curate("annotate", *first, f"model.dtype={OTHER}")
    compare(rows(folder), rows(finished[0])[:90])

    before = rows(folder)
    for name in ("annotations", "commits"):
        max(folder.glob(f"{name}/*/*")).unlink()
    done = curate("run", *first)
    assert f"90 samples judged by builtin in {OTHER}\n" in done.stdout
    assert (f"computing in {OTHER}, for which this CPU has no instructions" in done.stdout) == (OTHER == "bfloat16")
    compare(rows(folder), before)


def test_running_again_starts_no_engine(finished, monkeypatch):
    """With a package of that name that cannot be imported, vLLM would be missed if anything asked for it."""
    blocked = finished[0].parent / "blocked"
    blocked.mkdir()
    (blocked / "vllm.py").write_text("raise SystemExit('vLLM was imported')")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    done = curate("run", "+dataset=laion_subset", f"output.dir={finished[0]}")
    assert "finished before" in done.stdout


def test_verify_agrees(finished):
    curate("verify", f"output.dir={finished[0]}")


def test_two_engines_on_a_cpu_give_the_same_rows(finished, tmp_path):
    curate("annotate", "+dataset=laion_subset", f"output.dir={tmp_path / 'run'}", "engine.processes=2")
    compare(rows(tmp_path / "run"), rows(finished[0]))
    assert len(list(tmp_path.glob("run/metrics/workers/*.json"))) == 2, "each engine was a worker of its own"


def start(folder, *more):
    """A slow run in a process group of its own, as a terminal starts it."""
    arguments = command("run", "+dataset=laion_subset", f"output.dir={folder}", "engine.max_requests=8", *more)
    return subprocess.Popen(arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)  # fmt: skip


def wait_for_commits(process, folder, count):
    wait_until(
        lambda: len(list(folder.glob("commits/*/*"))) >= count,
        f"fewer than {count} shards were finished",
        alive=process,
        every=0.1,
    )


@pytest.mark.timeout(3600)  # three runs one after the other, and perhaps the undisturbed one before them
def test_a_killed_and_a_drained_run_equals_an_undisturbed_one(finished, tmp_path):
    folder = tmp_path / "run"
    process = start(folder)
    wait_for_commits(process, folder, 1)
    time.sleep(random.Random(1).uniform(0, 2))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    after_the_kill = len(list(folder.glob("commits/*/*")))
    assert after_the_kill < 5

    process = start(folder)
    wait_for_commits(process, folder, after_the_kill + 1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 75, errors
    assert "engine" not in errors, "Ctrl-C reaches the whole group, and the engine must go on until the drain ends"

    curate("run", "+dataset=laion_subset", f"output.dir={folder}")
    compare(rows(folder), rows(finished[0]))


def test_sigterm_to_every_process_lets_the_engine_finish_what_is_in_flight(tmp_path):
    """As SLURM ends a job step: every process of it is signalled, the engine's own too."""
    folder = tmp_path / "run"
    process = start(folder)
    wait_for_commits(process, folder, 1)
    family = family_of(process.pid)
    os.killpg(process.pid, signal.SIGTERM)
    for member in family:
        member.send_signal(signal.SIGTERM)
    born = set()

    def has_ended():
        born.update(family_of(process.pid) - family)
        return process.poll() is not None

    wait_until(has_ended, "the run did not end")
    assert process.returncode == 75, process.stderr.read()
    assert not born, "an engine that died of it would have been started again"
    assert psutil.wait_procs(family, timeout=HANG_SECONDS)[1] == []
    (heartbeat,) = folder.glob("work/workers/*.json")
    kept = [*folder.glob("annotations/*/*.parquet"), *folder.glob("work/parts/*/*/*.parquet")]
    judged = json.loads(heartbeat.read_bytes())["progress"]["rows"]
    assert judged == sum(pq.read_metadata(path).num_rows for path in kept)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two engines on one core would wait for each other")
def test_two_engines_on_cores_of_their_own_give_the_rows_of_one(finished, tmp_path):
    folder = tmp_path / "run"
    process = start(folder, "engine.processes=2")
    cores = wait_for_engines(process, 2)
    assert process.wait(timeout=HANG_SECONDS) == 0, process.stderr.read()
    assert len(cores) == 2
    assert not set.intersection(*cores)
    assert len({json.loads(path.read_bytes())["worker"] for path in folder.glob("commits/*/*.json")}) == 2
    compare(rows(folder), rows(finished[0]))


def wait_for_engines(process, count):
    """The cores of each engine, once there are so many; one may be up long before the other."""
    cores = []

    def are_up():
        cores[:] = [set(p.cpu_affinity()) for p in family_of(process.pid) if p.name().startswith("VLLM::EngineCor")]
        return len(cores) >= count

    wait_until(are_up, f"no {count} engines ran at once", alive=process, every=0.1)
    return cores


def family_of(pid):
    """A process and all that it and its children started."""
    try:
        process = psutil.Process(pid)
        return {process, *process.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()
