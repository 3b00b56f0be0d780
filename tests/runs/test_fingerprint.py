"""All that can change a row is in the fingerprint, and runs made before go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from curate.cli.hydra_config import compose_settings
from curate.core.errors import InputError
from curate.core.secrets import MASK
from curate.judges.questions import questions_of
from curate.pipeline.opening import open_settings
from curate.runs import run_folder
from curate.runs.fingerprint import Fingerprint, _digest, fingerprint, later_parts
from curate.runs.run_folder import load_run
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from tests.support.jobs import write_tar
from tests.support.verification_cases import make_run

AUTO_FORMAT, SAMPLED = {"model.dtype": "auto"}, {"model.weights": "s"}


@pytest.fixture
def settings(tmp_path):
    return make_run(tmp_path / "any", [write_tar(tmp_path / "0.tar", range(3))]).settings


def of(settings, engine=None, dataset=None, **more):
    model = settings.model.model_copy(update=more.pop("model", {}))
    (question,) = questions_of(settings)
    return fingerprint(
        question, model, {"weights": "w"}, EngineSettings(**engine or {}), dataset or settings.dataset, **more
    )


@pytest.mark.parametrize(
    ("args", "counts"),
    [
        ({"quantization": "fp8"}, True),
        ({"kv_cache_dtype": "fp8"}, True),
        ({"mm_processor_kwargs": {"max_pixels": 10}}, True),
        ({"hf_overrides": {"a": 1}}, True),
        ({"model": "another"}, True),
        ({"tokenizer": "another"}, True),
        ({"limit_mm_per_prompt": {"image": 2}}, True),
        ({"some_argument_of_a_later_version": 1}, True),
        ({"gpu_memory_utilization": 0.5, "tensor_parallel_size": 2, "max_num_seqs": 8, "swap_space": 1}, False),
        ({"hf_token": "hf_5ec2e7"}, False),
    ],
)
def test_arguments_of_vllm_count_unless_they_are_known_not_to(settings, args, counts):
    plain, given = of(settings), of(settings, {"args": args})
    assert (plain.digest != given.digest) == counts
    assert bool(given.difference(plain.parts)) == counts


def test_scores_of_categories_are_a_part_where_they_are_wanted_and_the_judge_stays_the_same(settings):
    wanted = settings.model_copy(update={"model": settings.model.model_copy(update={"category_scores": True})})
    plain, scored = of(settings), of(wanted)
    assert "policy.category_scores" not in plain.parts
    assert scored.differs_in(plain.parts) == ["policy.category_scores"]
    assert scored.judge == plain.judge, "a calibration fits both"


def test_arguments_of_the_fake_change_nothing_that_is_real(settings):
    assert of(settings, {"name": "fake"}) == of(settings, {"name": "fake", "args": {"latency": 1}})


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://other:8000/v1"},
        {"api_model": "another"},
        {"args": {"dialect": "openai"}},
    ],
)
def test_another_server_model_or_dialect_is_another_judge(settings, change):
    known = {"name": "server", "url": "http://host:8000/v1"}
    assert of(settings, known).digest != of(settings, known | change).digest


def test_a_server_is_known_however_its_address_is_spelled_and_whoever_asks(settings):
    urls = ("http://Host:8000/v1", "HTTP://host:8000/v1/", "http://me:5ec2e7@host:8000/v1")
    found = [of(settings, {"name": "server", "url": url, "args": {"retries": n}}) for n, url in enumerate(urls)]
    assert len({one.digest for one in found}) == 1
    assert "5ec2e7" not in str(found)


def test_secrets_are_no_part(settings):
    found = [of(settings, {"args": {"a": {"api_key": key}}}) for key in ("5ec2e7", "0ther")]
    assert found[0] == found[1]
    assert MASK in str(found[0].parts)


def test_the_key_column_counts_for_rows(settings):
    keyed = settings.dataset.model_copy(update={"key": "id"})
    own, other = of(settings), of(settings, dataset=keyed)
    assert own.difference(other.parts) == ["dataset.key ('id' before, None now)"]
    assert not own.is_same(other.parts, {})
    assert own.is_same(other.parts, {}, ignoring=["dataset.key"])


def test_what_was_not_recorded_is_what_the_settings_say(settings):
    engine = {"args": {"kv_cache_dtype": "fp8"}}
    now, before = of(settings, engine), of(settings)  # as a version that did not count it recorded both
    told = later_parts(EngineSettings(**engine), settings.dataset)
    assert now.is_same(before.parts, told)
    assert now.going_on(before, told).digest == before.digest
    assert not now.is_same(before.parts, {}), "begun without it"
    assert not before.is_same(before.parts, told), "begun with it, and now without"


@pytest.mark.parametrize("form", [{}, AUTO_FORMAT, SAMPLED, AUTO_FORMAT | SAMPLED])
def test_every_form_of_before_is_known(settings, form):
    now = of(settings, model={"dtype": "bfloat16"}, own_dtype="bfloat16", sampled={"weights": "s"})
    parts = {**now.parts, **form}
    before = Fingerprint(digest=_digest(parts), parts=parts)
    assert now.is_same(before.parts, {})
    assert before.judge in now.judges
    assert now.going_on(before, {}).digest == before.digest


SETTINGS = ["+dataset=laion_subset", "engine=fake"]


def begun(tmp_path: Path, *more: str):
    data = tmp_path / "0.tar"
    if not data.exists():
        write_tar(data, range(3))
    return open_settings(
        compose_settings([*SETTINGS, f"dataset.shards={data}", f"output.dir={tmp_path / 'run'}", *more])
    )


@pytest.mark.slow
def test_a_run_of_before_goes_on_under_the_digest_that_its_rows_carry(tmp_path):
    begun(tmp_path, "engine=vllm", "model.dtype=float32", "+engine.args.kv_cache_dtype=fp8")
    path = tmp_path / "run/run.yaml"
    record = yaml.safe_load(path.read_text())
    for one in record["fingerprints"].values():
        del one["parts"]["engine.args"]
        one["digest"] = _digest(one["parts"])
    path.write_text(yaml.safe_dump(record))
    old = load_run(tmp_path / "run").fingerprints["drawings"]
    again = begun(tmp_path, "engine=vllm", "model.dtype=float32", "+engine.args.kv_cache_dtype=fp8")
    assert again.fingerprints["drawings"].digest == old.digest
    assert load_run(tmp_path / "run").fingerprints["drawings"] == old
    with pytest.raises(InputError, match=r"changed: engine\.args"):
        begun(tmp_path, "engine=vllm", "model.dtype=float32")


@pytest.mark.slow
def test_other_versions_are_said_and_kept(tmp_path, capsys, monkeypatch):
    begun(tmp_path, "engine=vllm", "model.dtype=float32")
    real = dict(run_folder._versions())
    later = {**real, "transformers": "99.0"}
    monkeypatch.setattr(run_folder, "_versions", lambda: later)
    for _ in range(2):
        begun(tmp_path, "engine=vllm", "model.dtype=float32")
    said = capsys.readouterr().err
    assert said.count(f"was judged so far with transformers {real['transformers']} (now 99.0)") == 1
    record = yaml.safe_load((tmp_path / "run/run.yaml").read_text())
    assert record["versions"] == later
    assert record["earlier_versions"] == [real]


def test_a_dataset_without_new_settings_has_no_later_parts():
    assert later_parts(EngineSettings(), DatasetSettings(name="d", shards=["x"])) == {}
