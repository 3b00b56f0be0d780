"""A run on a real SLURM, with a task cancelled, one requeued and one preempted, equals a local one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.jobs import annotation_files, curate, fake_run, rows, split_rows, write_shards
from tests.support.s3_server import bucket
from tests.support.scale_of_trials import FULL
from tests.support.slurm_cluster import missing, output, slurm_cluster, wait_for_end
from tests.support.storage_faults import tables
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(missing() is not None, reason=f"no SLURM on this machine: {missing()}"),
]


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    with slurm_cluster(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 8, 40)


def submit(shards, folder, *more, cwd=None):
    """Submit, and give the ids of the array and the finishing job."""
    done = curate("submit", *fake_run(shards, folder, "job=slurm", "job.gpus_per_task=0", *more)[1:], cwd=cwd)
    return re.search(r"array (\d+) and finishing job (\d+)", done.stdout).groups()


def running(job):
    """Task ids of the array that are running."""
    return output("squeue", "-h", "-r", "-j", job, "-t", "R", "-o", "%K").split()


def wait_for_claims(folder, count):
    wait_until(
        lambda: len(list(folder.glob("work/claims/*"))) >= count,
        f"fewer than {count} shards were claimed",
        every=0.2,
        details=lambda: output("squeue"),
    )


def test_a_disturbed_array_equals_a_local_run(shards, tmp_path):
    curate(*fake_run(shards, tmp_path / "local"))
    folder = tmp_path / "cluster"
    slow = ("engine.args.latency=0.4", "engine.max_requests=4", "engine.shards_in_flight=1")
    array, finish = submit(shards, folder, "job.tasks=4", "job.partition=low", *slow)
    wait_for_claims(folder, 2)
    first, second = running(array)[:2]
    assert "error" not in output("scontrol", "requeue", f"{array}_{first}")
    preemptor = output("sbatch", "--parsable", "-p", "high", "-n2", "-o", "/dev/null", "--wrap", "sleep 3").strip()
    wait_for_end([preemptor])
    wait_for_claims(folder, 1)
    output("scancel", f"{array}_{second}")
    wait_for_end([array, finish])

    logs = {p.name: p.read_text() for p in (folder / "jobs" / "logs").iterdir()}
    assert annotation_files(folder) == annotation_files(tmp_path / "local"), logs
    splits = {s: len(split_rows(folder, s)) for s in ("clean", "review", "unsafe", "failed")}
    assert sum(splits.values()) == len(rows(folder)) == 320, logs
    assert (folder / "README.md").exists()


@pytest.mark.s3
def test_an_array_with_sources_and_output_in_a_bucket_equals_a_local_run(shards, s3_server, tmp_path):
    """The tasks find server and credentials in the environment that SLURM passes on; no script holds them."""
    place = bucket(s3_server)
    s3_server.files().put(f"{Path(shards).parent}/*.tar", f"{place}/data/")
    there = f"{place}/data/{Path(shards).name}"
    curate(*fake_run(there, tmp_path / "local"))
    jobs = submit(there, f"{place}/runs/one", "job.tasks=2", "job.partition=low", cwd=tmp_path)
    wait_for_end(list(jobs))

    scripts = tmp_path / "runs" / place.removeprefix("s3://") / "runs/one/jobs"
    logs = {p.name: p.read_text() for p in (scripts / "logs").iterdir()}
    assert len(logs) == 3
    s3_server.files().get(f"{place}/runs/one/", f"{tmp_path}/cluster/", recursive=True)
    assert tables(tmp_path / "cluster") == tables(tmp_path / "local"), logs
    written = "".join(p.read_text() for p in scripts.glob("*.sh"))
    assert f"output.dir={place}/runs/one" in written
    for value in s3_server.environment().values():
        assert value not in written


@pytest.mark.skipif(not FULL, reason="takes minutes: `make reliability`")
def test_a_task_drains_before_its_time_limit_and_goes_on(shards, tmp_path):
    folder = tmp_path / "run"
    slow = ("engine.args.latency=1.2", "engine.max_requests=4", "engine.shards_in_flight=1")
    # SLURM counts in minutes: a limit of one, the signal up to sixty seconds before it.
    array, finish = submit(shards, folder, "job.tasks=2", "job.time=1", "job.drain_seconds=30", *slow)
    wait_for_end([array, finish])
    logs = "\n".join(p.read_text() for p in (folder / "jobs" / "logs").iterdir())
    assert "back into the queue" in logs
    assert len(rows(folder)) == 320, logs


def test_submitting_without_the_cluster_says_so(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "job=slurm" in curate("submit", *fake_run(shards, tmp_path / "run")[1:], code=2).stderr
    error = curate("submit", *fake_run(shards, tmp_path / "run", "job=slurm")[1:], code=2).stderr
    assert "no sbatch" in error


@pytest.mark.parametrize(
    "given",
    [
        "dataset.storage_options.secret=hidden",
        "dataset.storage_options={key: hidden}",
        "engine.url=http://me:hidden@host/v1",
        "job.setup=['export HF_TOKEN=hidden']",
    ],
)
def test_credentials_among_the_arguments_are_refused(shards, tmp_path, given):
    error = curate("submit", *fake_run(shards, tmp_path / "run", "job=slurm", given)[1:], code=2).stderr
    assert f"{given.partition('=')[0]}: holds a secret, which would stand in the job scripts" in error
    assert "hidden" not in error
    assert not (tmp_path / "run").exists()


def test_credentials_of_the_environment_stand_in_no_script(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "hidden-in-the-environment")
    given = ("job=slurm", "job.partition=nowhere", "dataset.storage_options.secret=${oc.env:MY_SECRET}")
    assert "sbatch" in curate("submit", *fake_run(shards, tmp_path / "run", *given)[1:], code=2).stderr
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    for name in ("annotate", "finish"):
        assert "${oc.env:MY_SECRET}" in (tmp_path / f"run/jobs/{name}.sh").read_text()
    assert not any(b"hidden-in-the-environment" in path.read_bytes() for path in files)


def test_the_scripts_are_valid_shell_and_carry_the_options(shards, tmp_path):
    options = ("job.account=lab", "job.constraint=a100", "job.options=['--exclude=node7']", "job.time=120")
    arguments = fake_run(shards, tmp_path / "run", "job=slurm", "job.partition=nowhere", *options)
    assert "sbatch refuses" in curate("submit", *arguments[1:], code=2).stderr
    script = tmp_path / "run" / "jobs" / "annotate.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    for line in (
        "--account=lab",
        "--constraint=a100",
        "--exclude=node7",
        "--time=120",
        "--requeue",
        "--gpus-per-node=1",
    ):
        assert f"#SBATCH {line}" in text
