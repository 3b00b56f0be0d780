"""Finding a checkpoint: every way in which it is not there or not the one, in one line that says what to do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from curate.core.errors import InputError
from curate.engines.vllm_args import adapter_rank, engine_args, pixel_budget
from curate.judges import checkpoints
from curate.judges.checkpoints import model_identity, resolve_model_path, sampled_identity
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

NAME = "AIML-TUDA/LlavaGuard-v1.2-0.5B-OV-hf"
ONEVISION = {"architectures": ["LlavaOnevisionForConditionalGeneration"], "model_type": "llava_onevision"}


def settings(path: object, **others: object) -> ModelSettings:
    return ModelSettings.model_validate({"name": "test", "path": str(path), **others})


def checkpoint(folder: Path, config: dict[str, object] | None = None, weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or ONEVISION))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def refused(model: ModelSettings) -> str:
    with pytest.raises(InputError) as caught:
        resolve_model_path(model)
    message = str(caught.value)
    assert "\n" not in message
    return message


def hub_error(kind: type[Exception]) -> Exception:
    response = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co/api"))
    return kind("several\nlines", response=response)


def test_builtin_is_in_the_package_and_of_its_architecture():
    folder = resolve_model_path(settings("builtin", architecture="llava_onevision"))
    assert sum(f.stat().st_size for f in folder.iterdir()) < 64 * 2**20


def test_a_folder(tmp_path: Path):
    assert resolve_model_path(settings(checkpoint(tmp_path / "m"), architecture="llava_onevision")) == tmp_path / "m"


def test_no_folder(tmp_path: Path):
    assert refused(settings(tmp_path / "nowhere")) == (
        f"model.path: there is no folder {tmp_path}/nowhere; name a checkpoint's folder or a hub name"
    )


def test_a_folder_that_is_no_checkpoint(tmp_path: Path):
    assert "holds no config.json" in refused(settings(tmp_path))


@pytest.mark.parametrize("config", ["{", "{}", '{"architectures": []}', "[]"])
def test_a_config_that_names_no_architecture(tmp_path: Path, config: str):
    checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(config)
    assert "names no architecture" in refused(settings(tmp_path))


def test_another_known_architecture(tmp_path: Path):
    message = refused(settings(checkpoint(tmp_path), architecture="qwen2_5_vl"))
    assert "is a LlavaOnevisionForConditionalGeneration, not qwen2_5_vl" in message
    assert message.endswith("set model.architecture=llava_onevision")


def test_the_format_of_other_runtimes(tmp_path: Path):
    checkpoint(tmp_path, {"architectures": ["LlavaQwenForCausalLM"]})
    assert "end in -hf" in refused(settings(tmp_path, architecture="llava_onevision"))


def test_auto_takes_the_checkpoints_word(tmp_path: Path):
    checkpoint(tmp_path, {"architectures": ["SomethingNew"]})
    assert resolve_model_path(settings(tmp_path)) == tmp_path


def test_no_adapter(tmp_path: Path):
    assert "holds no adapter_config.json" in refused(settings(checkpoint(tmp_path), adapter=str(tmp_path / "lora")))


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (hub_error(GatedRepoError), "accept its licence at https://huggingface.co/AIML-TUDA"),
        (hub_error(RepositoryNotFoundError), "neither a folder nor on the hub"),
        (hub_error(RevisionNotFoundError), "model.revision"),
        (LocalEntryNotFoundError("not cached"), "hf download AIML-TUDA"),
        (OSError("no space left\non device"), "no space left on device"),
    ],
)
def test_what_the_hub_refuses(monkeypatch: pytest.MonkeyPatch, error: Exception, advice: str):
    """The hub itself cannot be made to refuse, so that its client's errors are raised in its place."""

    def download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(checkpoints, "snapshot_download", download)
    assert advice in refused(settings(NAME))


def test_offline_and_not_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "not in the local cache" in refused(settings(NAME))


def test_offline_and_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--AIML-TUDA--LlavaGuard-v1.2-0.5B-OV-hf"
    snapshot = checkpoint(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert resolve_model_path(settings(NAME, architecture="llava_onevision")) == snapshot
    assert model_identity(settings(NAME)) == {"weights": commit}


def test_identity_is_of_the_content_not_of_the_place(tmp_path: Path):
    first, second = (model_identity(settings(checkpoint(tmp_path / name))) for name in ("one", "two"))
    assert first == second
    (tmp_path / "two" / "tokenizer.json").write_text("[]")
    assert model_identity(settings(tmp_path / "two")) != first


@pytest.mark.parametrize("limit", [2**30, 0])
def test_identity_sees_every_byte_of_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int):
    monkeypatch.setattr(checkpoints, "SMALL", limit)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights = bytearray(40 * 2**20)
    before = model_identity(settings(checkpoint(tmp_path / "m", weights=bytes(weights))))
    weights[7 * 2**20 + 5] = 1  # between the samples that were once taken
    after = model_identity(settings(checkpoint(tmp_path / "m", weights=bytes(weights))))
    assert before != after


def test_identity_as_it_was_recorded_before_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = settings(checkpoint(tmp_path / "m", weights=bytes(9 * 2**20)))
    assert sampled_identity(model) == {}
    monkeypatch.setattr(checkpoints, "SMALL", 0)
    sampled = sampled_identity(model)["weights"]
    assert sampled != model_identity(model)["weights"]
    assert sampled == _as_before(tmp_path / "m")


def _as_before(folder: Path) -> str:
    """The digest as versions up to 0.1 made it: sizes, and eight blocks of each file of weights."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        body = path.read_bytes()
        digest.update(f"{path.name}\0{len(body)}\0".encode())
        if path.suffix != ".safetensors":
            digest.update(body)
            continue
        for i in range(8):
            start = max(0, len(body) - 2**20) * i // 7
            digest.update(body[start : start + 2**20])
    return digest.hexdigest()


def test_identity_with_an_adapter(tmp_path: Path):
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text('{"r": 100}')
    identity = model_identity(settings(checkpoint(tmp_path / "m"), adapter=str(lora)))
    assert set(identity) == {"weights", "adapter"}
    args = engine_args(settings(tmp_path / "m", adapter=str(lora)), EngineSettings(), tmp_path / "m", cpu=True)
    assert args["max_lora_rank"] == 128


@pytest.mark.parametrize("content", ["{}", "{", '{"r": null}'])
def test_an_adapter_without_a_rank(tmp_path: Path, content: str):
    (tmp_path / "adapter_config.json").write_text(content)
    with pytest.raises(InputError, match="no LoRA adapter"):
        adapter_rank(tmp_path)


def test_pixel_budget_cuts_the_grids(tmp_path: Path):
    grids = [[384, 384], [384, 768], [768, 384], [2304, 2304]]
    checkpoint(tmp_path, {**ONEVISION, "image_grid_pinpoints": grids})
    for budget, left in ((10**9, 4), (384 * 768, 3), (384 * 384, 1), (1, 1)):
        overrides, processor = pixel_budget(settings(tmp_path, max_pixels=budget), tmp_path)
        assert overrides == processor
        assert len(overrides["image_grid_pinpoints"]) == left


def test_pixel_budget_of_qwen(tmp_path: Path):
    checkpoint(tmp_path, {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl"})
    assert pixel_budget(settings(tmp_path, max_pixels=1000), tmp_path) == ({}, {"max_pixels": 1000})


def test_no_pixel_budget_for_one_size(tmp_path: Path):
    checkpoint(tmp_path, {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"})
    with pytest.raises(InputError, match="leave max_pixels out"):
        pixel_budget(settings(tmp_path, max_pixels=1000), tmp_path)


def test_engine_arguments_of_the_user_have_the_last_word(tmp_path: Path):
    checkpoint(tmp_path)
    chosen = EngineSettings(args={"block_size": 64}, kv_cache_gib=0.5)
    args = engine_args(settings(tmp_path), chosen, tmp_path, cpu=True)
    assert (args["block_size"], args["kv_cache_memory_bytes"]) == (64, 2**29)
    assert "quantization" not in args
