"""The number format of a run: by what the machine computes fastest, settled once, and kept wherever the run goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from curate.cli.hydra_config import compose_settings
from curate.core.calibration import Calibration
from curate.core.errors import InputError
from curate.engines import dtype
from curate.engines.dtype import AUTO, cpu_flags, fastest, remarks, settled
from curate.evaluation.assess import assess
from curate.evaluation.document import write_metrics
from curate.evaluation.origin import read_origin
from curate.evaluation.report_md import score_table
from curate.filtering.calibrating import check_calibration
from curate.pipeline import opening
from curate.pipeline.opening import fingerprints_of, open_settings
from curate.runs.plan import make_plan
from curate.runs.run_folder import RUN, load_run
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings
from tests.support.evaluation_cases import from_counts, gold_of, outcomes_of
from tests.support.jobs import write_tar

VLLM = EngineSettings()
LAPTOP = frozenset({"sse2", "avx2", "fma", "f16c"})
SERVER = LAPTOP | {"avx512f", "avx512_bf16"}


def checkpoint(folder: Path, config: dict[str, object], size: int = 8) -> ModelSettings:
    folder.mkdir(exist_ok=True)
    whole = {"architectures": ["LlavaOnevisionForConditionalGeneration"], **config}
    (folder / "config.json").write_text(json.dumps(whole))
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(size)  # a hole of that length
    return ModelSettings(name="test", path=str(folder))


@pytest.fixture
def machine(monkeypatch):
    """Makes this a machine with a CPU of these flags, or one with a GPU (None)."""

    def be(flags):
        monkeypatch.setattr(dtype, "built_for_cpu", lambda: flags is not None)
        monkeypatch.setattr(dtype, "cpu_flags", lambda: flags)

    be(LAPTOP)
    return be


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (LAPTOP, "float32"),
        (LAPTOP | {"avx512f", "avx512_vnni"}, "float32"),
        (LAPTOP | {"avx512_bf16"}, "bfloat16"),
        (LAPTOP | {"amx_tile", "amx_bf16"}, "bfloat16"),
        ({"fp", "asimd", "bf16"}, "bfloat16"),
        ((), "float32"),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_where_it_can(flags, expected):
    assert fastest(flags) == expected


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the kernel tells a CPU's flags on Linux alone")
def test_this_machine_says_what_it_can_do():
    text = Path("/proc/cpuinfo").read_text()
    assert cpu_flags()
    assert all(flag in text for flag in cpu_flags())


@pytest.mark.parametrize("own", ["bfloat16", "float16", "float32"])
def test_what_a_cpu_computes_fastest_with_is_taken_whatever_the_weights_are_stored_in(tmp_path, machine, own):
    model = checkpoint(tmp_path / "m", {"dtype": own})
    assert settled(model, VLLM).dtype == "float32"
    machine(SERVER)
    assert settled(model, VLLM).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"torch_dtype": "float16"}, "float16"),
        ({"text_config": {"dtype": "bfloat16"}}, "bfloat16"),
        ({"dtype": "float32"}, AUTO),
        ({}, AUTO),
    ],
)
def test_a_gpu_takes_the_checkpoints_own_where_that_is_no_float32(tmp_path, machine, config, expected):
    machine(None)
    assert settled(checkpoint(tmp_path / "m", config), VLLM).dtype == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("echo 9.0; echo 8.0", "bfloat16"),
        ("echo 9.0; echo 7.5", "float16"),
        ("echo No devices", "bfloat16"),
        ("exit 9", "bfloat16"),
    ],
)
def test_a_gpu_too_old_for_bfloat16_takes_float16(tmp_path, machine, monkeypatch, told, expected):
    """What the driver's own program prints, by a stand-in: there is no GPU here."""
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{told}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    machine(None)
    assert settled(checkpoint(tmp_path / "m", {"dtype": "bfloat16"}), VLLM).dtype == expected
    assert settled(checkpoint(tmp_path / "m", {"dtype": "float16"}), VLLM).dtype == "float16"


def test_what_is_given_stays(tmp_path, machine):
    model = checkpoint(tmp_path / "m", {"dtype": "bfloat16"})
    assert settled(model.model_copy(update={"dtype": "float16"}), VLLM).dtype == "float16"
    for name in ("server", "fake"):
        assert settled(model, EngineSettings(name=name)).dtype == AUTO
    quantized = checkpoint(tmp_path / "q", {"dtype": "bfloat16", "quantization_config": {"quant_method": "awq"}})
    for flags in (LAPTOP, None):
        machine(flags)
        assert settled(quantized, VLLM).dtype == AUTO


def test_weights_that_do_not_fit_into_memory_in_float32_stay_as_they_are(tmp_path, machine):
    model = checkpoint(tmp_path / "m", {"dtype": "bfloat16"}, size=2**42)
    found = settled(model, VLLM)
    assert found.dtype == "bfloat16"
    assert "too little memory" in " ".join(remarks(found, VLLM))


def test_a_person_is_told_of_what_is_unusual(tmp_path, machine):
    model = checkpoint(tmp_path / "m", {"dtype": "bfloat16"})

    def told(of):
        return " ".join(remarks(model.model_copy(update={"dtype": of}), VLLM))

    assert told("float32") == "computing in float32: this CPU has no instructions for bfloat16"
    assert "model.dtype=float32 would be several times as fast" in told("bfloat16")
    assert told(AUTO) == told("bfloat16"), "as recorded before formats were settled"
    assert list(remarks(model, EngineSettings(name="fake"))) == []
    machine(SERVER)
    assert told("bfloat16") == told("float32") == ""


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """A tar, and beside it a checkpoint in bfloat16 that takes no time to hash."""
    folder = tmp_path_factory.mktemp("data")
    checkpoint(folder / "model", {"dtype": "bfloat16"})
    return write_tar(folder / "00000.tar", range(6))


def settings_of(shard, folder, *more):
    own = (f"dataset.shards={shard}", f"model.path={shard.parent / 'model'}", f"output.dir={folder}")
    return compose_settings(["+dataset=laion_subset", *own, *more])


def recorded(folder):
    """The number format in a run's settings and in its fingerprint, as its record has them."""
    record = yaml.safe_load((folder / RUN).read_text())
    return record["settings"]["model"]["dtype"], record["fingerprints"]["drawings"]["parts"]["model.dtype"]


@pytest.mark.slow
def test_a_run_keeps_its_format_on_another_machine(shard, tmp_path, machine):
    first = open_settings(settings_of(shard, tmp_path / "run"))
    assert (first.settings.model.dtype, recorded(tmp_path / "run")) == ("float32", ("float32", "float32"))
    machine(SERVER)
    again = open_settings(settings_of(shard, tmp_path / "run"))
    assert again.settings.model.dtype == "float32"
    assert again.fingerprints == first.fingerprints
    assert open_settings(settings_of(shard, tmp_path / "other")).settings.model.dtype == "bfloat16"


def test_another_format_in_the_same_folder_is_refused(shard, tmp_path, machine):
    open_settings(settings_of(shard, tmp_path / "run"))
    with pytest.raises(InputError, match=r"model\.dtype \('float32' before, 'bfloat16' now\)"):
        open_settings(settings_of(shard, tmp_path / "run", "model.dtype=bfloat16"))


@pytest.mark.slow
def test_the_format_as_settled_and_as_given_are_one(shard, tmp_path, machine):
    given = open_settings(settings_of(shard, tmp_path / "given", "model.dtype=float32"))
    assert open_settings(settings_of(shard, tmp_path / "run")).fingerprints == given.fingerprints


def test_of_two_machines_that_begin_at_once_one_decides(shard, tmp_path, machine, monkeypatch):
    """One finds no record and settles on its own format; before it writes that, the other begins."""
    settings = settings_of(shard, tmp_path / "run")

    def begin_elsewhere(dataset):
        monkeypatch.setattr(opening, "make_plan", make_plan)
        machine(SERVER)
        open_settings(settings)
        machine(LAPTOP)
        return make_plan(dataset)

    monkeypatch.setattr(opening, "make_plan", begin_elsewhere)
    assert open_settings(settings).settings.model.dtype == "bfloat16"
    assert recorded(tmp_path / "run") == ("bfloat16", "bfloat16")


@pytest.fixture
def before(shard, tmp_path, monkeypatch):
    """A run as it was recorded before formats were settled."""
    with monkeypatch.context() as earlier:
        earlier.setattr(opening, "settle_dtype", lambda settings, recorded: settings)
        run = open_settings(settings_of(shard, tmp_path / "before"))
    assert recorded(tmp_path / "before") == (AUTO, AUTO)
    return run


@pytest.mark.slow
def test_a_run_recorded_before_goes_on_as_it_was(shard, before, tmp_path, machine):
    for flags in (LAPTOP, SERVER):
        machine(flags)
        again = open_settings(settings_of(shard, tmp_path / "before"))
        assert again.settings.model.dtype == AUTO
        assert load_run(tmp_path / "before").fingerprints["drawings"].digest == before.fingerprints["drawings"].digest


@pytest.mark.slow
def test_labels_of_another_format_are_not_taken_over(shard, before, tmp_path, machine):
    open_settings(settings_of(shard, tmp_path / "laptop"))
    for place, theirs in (("laptop", "float32"), ("before", "bfloat16")):
        machine(SERVER if theirs == "float32" else LAPTOP)
        with pytest.raises(InputError, match=rf"model\.dtype .* judge as it did with model\.dtype={theirs}$"):
            open_settings(settings_of(shard, tmp_path / "new", f"reuse={tmp_path / place}"))
        open_settings(settings_of(shard, tmp_path / theirs, f"reuse={tmp_path / place}", f"model.dtype={theirs}"))


def test_a_calibration_fits_the_format_it_was_fitted_in(shard, before, machine):
    def check(calibration, dtype):
        fingerprints = fingerprints_of(settings_of(shard, "unused", f"model.dtype={dtype}"))
        settings = before.settings.filter.model_copy(update={"calibration": calibration})
        check_calibration(settings, fingerprints, ["drawings"])

    fitted = before.fingerprints["drawings"]
    calibration = Calibration(method="platt", fitted_on=10, judge=fitted.judge, policies={"drawings": fitted.asked})
    check(calibration, "bfloat16")
    with pytest.raises(InputError, match="fitted on another model"):
        check(calibration, "float32")


@pytest.mark.slow
def test_what_was_computed_in_which_format_is_said_where_runs_are_compared(shard, tmp_path, machine):
    assessments = []
    for flags, name in ((LAPTOP, "one"), (SERVER, "two")):
        machine(flags)
        open_settings(settings_of(shard, tmp_path / name))
        outcomes = outcomes_of(from_counts(tp=3, fn=1, fp=1, tn=3))
        assessments.append(assess(name, outcomes, origin=read_origin(str(tmp_path / name))))
    assessments.append(assess("table", outcomes))
    (row,) = (line for line in score_table(assessments).splitlines() if "computed in" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["computed in", "float32", "bfloat16", ""]
    write_metrics(gold_of([]), assessments, [], tmp_path / "metrics.json")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [metrics["dtype"], *(other["dtype"] for other in metrics["others"])] == ["float32", "bfloat16", None]
