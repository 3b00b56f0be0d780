"""The whole job with sources and output on a real S3 server, through a network that fails: it equals the local run."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import time
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.fault_proxy import Weather, proxy
from tests.support.jobs import command, curate, environment, fake_run, picture, write_tar
from tests.support.s3_server import S3Server, bucket
from tests.support.scale_of_trials import full_or_share
from tests.support.storage_faults import tables
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.s3

SEEDS = range(full_or_share(20, 2))
SHARDS = "{00000..00002}.tar"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Three shards of 20 samples, with a truncated picture."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(3):
        seeds = range(20 * number, 20 * number + 20)
        write_tar(folder / f"{number:05d}.tar", seeds, broken={23: picture(23)[:200]})
    return folder


@pytest.fixture(scope="module")
def place(shards, s3_process):
    """A bucket with the same shards in data/."""
    found = bucket(s3_process)
    s3_process.files().put(f"{shards}/*.tar", f"{found}/data/")
    return found


@pytest.fixture(scope="module")
def expected(place, s3_process, tmp_path_factory):
    """Tables of an undisturbed run over the bucket's shards in a folder of this machine."""
    folder = tmp_path_factory.mktemp("local") / "run"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_process.environment().items():
            patch.setenv(name, value)
        curate(*fake_run(f"{place}/data/{SHARDS}", folder))
    return tables(folder)


def fetched(server: S3Server, url: str, folder: Path) -> dict[str, bytes]:
    """Tables of a run in a bucket, brought here by another client than the one that wrote them."""
    server.files().get(f"{url}/", f"{folder}/", recursive=True)
    return tables(folder)


def test_a_run_in_a_bucket_is_a_run(s3_server, place, expected, tmp_path):
    run = f"{place}/whole"
    done = curate(*fake_run(f"{place}/data/{SHARDS}", run))
    assert fetched(s3_server, run, tmp_path / "run") == expected
    (line,) = (line for line in done.stdout.splitlines() if "datasets.load_dataset(" in line)
    loaded = datasets.load_dataset(
        "parquet", data_files=f"{run}/splits/clean/*.parquet", split="train", cache_dir=tmp_path
    )
    assert f"{run}/splits/clean/*.parquet" in line
    assert len(loaded) == int(done.stdout.split("clean ")[1].split()[0])
    assert "3 of 3 shards done" in curate("status", f"output.dir={run}").stdout
    assert "no violation" in curate("verify", f"output.dir={run}").stdout
    assert "finished before" in curate(*fake_run(f"{place}/data/{SHARDS}", run)).stdout


def test_splits_in_a_bucket_are_made_again_by_other_rules(s3_server, place, expected, tmp_path):
    for folder in (f"{place}/again", tmp_path / "local"):
        curate(*fake_run(f"{place}/data/{SHARDS}", folder))
        curate("filter", f"output.dir={folder}", "filter=strict", "filter.write=webdataset")
    again = fetched(s3_server, f"{place}/again", tmp_path / "run")
    assert again == tables(tmp_path / "local")
    assert again != expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_that_fails_changes_nothing(s3_server, place, expected, tmp_path, monkeypatch, seed):
    weather = Weather(seed=seed, share=0.12)
    run = f"{place}/weather-{seed}"
    with proxy(s3_server.endpoint, weather) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        curate(*fake_run(f"{place}/data/{SHARDS}", run))
    print(f"\nseed {seed}: {dict(sorted(weather.met.items()))} in {weather.requests} requests")
    assert sum(weather.met.values()) > 5
    assert fetched(s3_server, run, tmp_path / "run") == expected


def test_killed_workers_in_a_bucket_are_replaced(s3_server, place, expected, tmp_path):
    run = f"{place}/killed"
    arguments = ["annotate", *fake_run(f"{place}/data/{SHARDS}", run, "engine.args.latency=0.1", "job.lease=2")[1:]]
    first = subprocess.Popen([*command(*arguments), "engine.max_requests=2"], env=environment())
    claims = f"{run}/work/claims/*"
    wait_until(lambda: s3_server.files().glob(claims), "no shard was claimed", alive=first, every=0.1)
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    others = [subprocess.Popen(command(*arguments), env=environment()) for _ in range(2)]
    assert [other.wait(timeout=HANG_SECONDS) for other in others] == [0, 0]
    curate("filter", f"output.dir={run}")
    assert fetched(s3_server, run, tmp_path / "run") == expected


def test_without_conditional_writes_each_worker_has_a_fixed_share(s3_server, place, expected, tmp_path, monkeypatch):
    run = f"{place}/shares"
    arguments = ["annotate", *fake_run(f"{place}/data/{SHARDS}", run, "job.tasks=2")[1:]]
    with proxy(s3_server.endpoint, Weather(seed=0, share=0), refuse_conditions=True) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert "job.task" in curate(*arguments, code=2).stderr
        first = curate(*arguments, "job.task=0")
        assert "judged 40 samples" in first.stdout
        assert "fixed share" in first.stderr
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
        assert "judged 20 samples" in curate(*arguments).stdout
        curate("filter", f"output.dir={run}")
    assert fetched(s3_server, run, tmp_path / "run") == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "check permissions and credentials"),
        ("AWS_PROFILE", "nobody", "nobody"),
    ],
)
def test_what_the_bucket_refuses_is_one_line(s3_server, place, shards, monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    error = curate(*fake_run(f"{shards}/{SHARDS}", f"{place}/refused"), code=2).stderr
    assert error.count("\n") == 1
    assert said in error


def test_a_run_in_a_bucket_is_evaluated_there(s3_server, place, expected, tmp_path):
    """The same numbers as from a copy in a folder; without output.dir the files lie beside the predictions."""
    run = f"{place}/evaluated"
    curate(*fake_run(f"{place}/data/{SHARDS}", run))
    fetched(s3_server, run, tmp_path / "run")
    gold = "key,rating,category\n" + "".join(f"{n:09d},{'Unsafe' if n % 3 else 'Safe'},NA\n" for n in range(60))
    (tmp_path / "gold.csv").write_text(gold)
    wanted = (f"gold={tmp_path / 'gold.csv'}", "recall=0.9", "calibrated=true")
    curate("evaluate", f"predictions={run}", *wanted)
    curate("evaluate", f"predictions={tmp_path / 'run'}", *wanted, f"output.dir={tmp_path / 'local'}")
    s3_server.files().get(f"{run}/", f"{tmp_path / 'there'}/", recursive=True)
    local = {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    there = {name: (tmp_path / "there" / name).read_bytes() for name in local}
    ours, theirs = (json.loads(files.pop("metrics.json")) for files in (local, there))
    assert ours.pop("predictions") == "run"
    assert theirs.pop("predictions") == "evaluated"
    assert ours == theirs
    assert there["filter.yaml"] == local["filter.yaml"]
    assert there["calibration.json"] == local["calibration.json"]
    curate("filter", f"output.dir={run}", f"filter={tmp_path / 'there/filter.yaml'}")
    assert "no violation" in curate("verify", f"output.dir={run}").stdout


def test_a_bucket_without_a_run_has_no_predictions(s3_server, place, tmp_path):
    (tmp_path / "gold.csv").write_text("key,rating\n1,Safe\n")
    done = curate("evaluate", f"predictions={place}/nowhere", f"gold={tmp_path / 'gold.csv'}", code=2)
    assert f"{place}/nowhere: no finished shard" in done.stderr


def test_a_run_in_a_bucket_is_compacted(s3_server, place, expected, tmp_path):
    run = f"{place}/compacted"
    curate(*fake_run(f"{place}/data/{SHARDS}", run))
    assert "3 shards in 1 parts" in curate("compact", f"output.dir={run}").stdout
    assert "no violation" in curate("verify", f"output.dir={run}").stdout
    found = fetched(s3_server, run, tmp_path / "run")
    parts = [name for name in found if "/parts/" in name]
    assert [name for name in found if name.startswith("annotations/")] == parts
    whole = [pq.read_table(io.BytesIO(data)) for name, data in expected.items() if name.startswith("annotations/")]
    assert pq.read_table(tmp_path / "run" / parts[0]).equals(pa.concat_tables(whole))
    curate("filter", f"output.dir={run}")
    again = fetched(s3_server, run, tmp_path / "again")
    assert again == found
    assert all(again[name] == data for name, data in expected.items() if name.startswith("splits/"))
