import asyncio
import io
import os
import signal
import subprocess
import sys

import polars as pl
import pytest
from PIL import Image

import curate
from curate.core.errors import InputError
from curate.core.types import Rating, Status
from curate.pipeline.compacting import compact
from curate.runs.run_folder import load_run
from tests.support.jobs import picture, write_tar
from tests.support.verification_cases import finished_run, make_run
from tests.support.waiting import HANG_SECONDS, wait_until

FAKE = ["engine=fake"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("api")
    shards = [write_tar(made / f"{n}.tar", range(10 * n, 10 * n + 10)) for n in range(2)]
    return finished_run(made / "run", shards, policies=("p", "q"))


def on_disk(folder, policy):
    return pl.concat(pl.read_parquet(path) for path in sorted((folder / "annotations" / policy).glob("*.parquet")))


def test_the_package_is_light_to_import():
    code = "import sys, curate; print([m for m in ('polars', 'PIL', 'pyarrow', 'hydra', 'torch') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'load'"):
        curate.load  # noqa: B018


def test_annotations_are_the_rows_of_all_finished_shards(folder):
    run = curate.load_run(folder)
    rows = run.annotations()
    assert rows.height == 40
    assert run.annotations("q").equals(on_disk(folder, "q"))
    assert run.annotations("p", columns=["key", "rating"]).columns == ["key", "rating"]
    assert list(run.settings.policies) == ["p", "q"]


def test_compacted_rows_are_the_same(folder, tmp_path):
    shards = [write_tar(tmp_path / f"{n}.tar", range(3 * n, 3 * n + 3)) for n in range(3)]
    small = finished_run(tmp_path / "run", shards)
    before = curate.load_run(small).annotations()
    opened = load_run(small)
    compact(opened.store, opened.plan.shards, ["p"])
    assert not list((small / "annotations" / "p").glob("*.parquet"))
    assert curate.load_run(small).annotations().equals(before)


def test_a_split_is_loaded_with_its_original_bytes(folder):
    run = curate.load_run(folder)
    assert sum(run.splits.values()) == 20
    name = max(run.splits, key=run.splits.get)
    loaded = run.split(name).cast_column("image", run.split(name).features["image"].__class__(decode=False))
    assert len(loaded) == run.splits[name]
    assert {row["image"]["bytes"] for row in loaded} <= {picture(seed) for seed in range(20)}


def test_tars_are_loaded_by_their_own_card(tmp_path):
    run = curate.load_run(finished_run(tmp_path / "run", [write_tar(tmp_path / "0.tar", range(8))], write="webdataset"))
    name = max(run.splits, key=run.splits.get)
    assert len(run.split(name)) == run.splits[name]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda run: run.annotations("kids"), "policy=kids: the run has judged under p, q"),
        (lambda run: run.split("cleen"), "no samples in a split 'cleen'; there are "),
    ],
)
def test_what_the_run_has_not_is_said_in_one_line(folder, ask, said):
    with pytest.raises(InputError, match=said):
        ask(curate.load_run(folder))


def test_a_run_that_has_just_begun_has_nothing_to_show(tmp_path):
    make_run(tmp_path / "run", [write_tar(tmp_path / "0.tar", range(2))])
    run = curate.load_run(tmp_path / "run")
    assert run.splits == {}
    with pytest.raises(InputError, match="no shard is finished yet"):
        run.annotations()
    with pytest.raises(InputError, match="there are none yet"):
        run.split("clean")


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        curate.load_run(tmp_path)


@pytest.fixture
def pictures(tmp_path):
    """One of each kind that `judge` takes."""
    path = tmp_path / "one.jpg"
    path.write_bytes(picture(1))
    return [Image.open(io.BytesIO(picture(0, kind="PNG"))), picture(1), path, b"no picture"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::curate.api.ModelWarning")
def test_verdicts_are_the_rows_that_a_run_would_write(pictures):
    rows = curate.judge(pictures, policy="llavaguard", overrides=FAKE)
    assert [row.key for row in rows] == ["0", "1", "2", "3"]
    assert {row.policy for row in rows} == {"llavaguard"}
    assert all(isinstance(row.rating, Rating) and row.category for row in rows[:3])
    assert (rows[1].rating, rows[1].p_unsafe, rows[1].sha256) == (rows[2].rating, rows[2].p_unsafe, rows[2].sha256)
    assert (rows[3].status, rows[3].rating) == (Status.UNSUPPORTED_FORMAT, None)


@pytest.mark.slow
def test_in_a_notebook_an_event_loop_runs_already():
    async def cell():
        return curate.judge([picture(0)], overrides=FAKE)

    with pytest.warns(curate.ModelWarning, match="Labels are drawn from a hash"):
        (row,) = asyncio.run(cell())
    assert row.status is Status.LABELLED


def turned():
    """A picture that a viewer turns, and what it shows."""
    upright = Image.new("RGB", (40, 20), "white")
    upright.paste("black", (0, 0, 10, 20))
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    upright.rotate(90, expand=True).save(out, "PNG", exif=exif)
    return Image.open(out), upright


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::curate.api.ModelWarning")
def test_a_picture_of_pil_is_judged_as_it_is_seen():
    seen, upright = curate.judge(list(turned()), overrides=FAKE)
    assert (seen.width, seen.height, seen.sha256) == (upright.width, upright.height, upright.sha256)


@pytest.mark.slow
def test_no_process_is_started_for_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="policy=kid: "):
        curate.judge([picture(0)], policy="kid")
    with pytest.raises(InputError, match="takes one policy"):
        curate.judge([picture(0)], overrides=["policies=[kids,medical]", *FAKE])


@pytest.mark.filterwarnings("ignore::curate.api.ModelWarning")
def test_a_file_that_is_not_there_is_told():
    with pytest.raises(InputError, match=r"missing\.jpg: cannot be read \(No such file"):
        curate.judge(["missing.jpg"], overrides=FAKE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::curate.api.ModelWarning")
def test_errors_of_the_process_are_the_callers():
    with pytest.raises(InputError, match=r"engine\.url"):
        curate.judge([picture(0)], overrides=["engine=server"])


@pytest.mark.slow
def test_an_interrupted_cell_leaves_no_process(tmp_path):
    script = tmp_path / "cell.py"
    reached = tmp_path / "reached"
    # A fake, since no real engine waits on request: the process that judges sleeps where it would begin.
    held = f"import pathlib, time; pathlib.Path({str(reached)!r}).touch(); time.sleep({HANG_SECONDS})"
    # As a notebook's kernel does: what starts the tests may have SIGINT ignored, which is inherited.
    obeying = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script.write_text(
        f"{obeying}\nimport curate.launch.judge_in_subprocess as a; a._PROGRAM = {held!r}; a.judged_apart(None, [])\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True) as process:
        wait_until(reached.exists, "was not held up", alive=process)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=HANG_SECONDS)[1]
    assert "KeyboardInterrupt" in errors
    wait_until(lambda: not _any_process_with(str(reached)), "a process is left")


def _any_process_with(words):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                if words in file.read() and int(pid) != os.getpid():
                    return True
        except OSError:
            continue
    return False


@pytest.mark.vllm
def test_three_lines_of_a_script_judge_with_the_built_in_safeguard(tmp_path):
    script = tmp_path / "three.py"
    (tmp_path / "a.jpg").write_bytes(picture(0, size=(224, 224)))
    script.write_text(
        'import curate\nfor row in curate.judge(["a.jpg"]):\n    print(row.status, row.rating, row.category)\n'
    )
    # Commands that ran in the process of the tests have set this; a person's shell has not.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    said = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[0] == "labelled"
    assert said.stdout.split()[1] in ("Safe", "Unsafe")
    assert "knows weapons, drugs and disasters in drawings" in said.stderr
