"""Conversations as tensors: what the model is asked, and where the loss is."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import cross_entropy
from transformers import AutoModelForImageTextToText, AutoProcessor

from curate.core.errors import InputError
from curate.core.types import Rating
from curate.judges.chat_prompt import prompt_text
from curate.judges.prompts import render_policy
from curate.judges.released_keys import released
from curate.judges.verdicts import ANSWER_PREFIX
from curate.settings.tune import LoraSettings, TuneSettings
from curate.testing import tiny_models
from curate.tuning.conversations import messages_of
from curate.tuning.encoding import IGNORED, PLACEHOLDERS, Batch, Encoder
from curate.tuning.loop import total_steps
from curate.tuning.order import Draws, grouped_order, training_order
from curate.tuning.policy_augmentation import Case
from curate.tuning.shared_prefix import continued
from curate.tuning.trained_parts import part_of, prepare
from tests.support.tuning_cases import POLICY, png

CASES = [
    Case(key="a", split="train", policy=POLICY, rating=Rating.UNSAFE, category="O1", rationale="A gun. It is aimed."),
    Case(key="b", split="train", policy=POLICY, rating=Rating.SAFE, category="NA", rationale='A "street", quiet.'),
    Case(key="c", split="train", policy=POLICY, rating=Rating.SAFE, category="O2"),
]


@pytest.fixture(scope="module", params=list(tiny_models.BUILDERS))
def architecture(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = tiny_models.Size(grid=1)
    return tiny_models.build(tmp_path_factory.mktemp("tiny"), architecture, [render_policy(POLICY)], size)


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    return AutoProcessor.from_pretrained(folder)


def rows(layout: str) -> list[dict[str, Any]]:
    return [
        {"key": case.key, "image": {"bytes": png(i * 3), "path": None}, "messages": messages_of(case, layout)}
        for i, case in enumerate(CASES)
    ]


@pytest.mark.parametrize("layout", ["image_first", "policy_first"])
def test_the_loss_covers_the_answer_and_its_end_and_nothing_else(processor: Any, architecture: str, layout: str):
    chosen = rows(layout)
    batch = Encoder(processor, architecture, layout, 4096)(chosen)
    placeholder = PLACEHOLDERS.get(architecture, "<image>")
    prompt = prompt_text(processor, render_policy(POLICY), layout, placeholder).removesuffix(ANSWER_PREFIX)
    tokens = batch.inputs["input_ids"]
    for row, ids, labels in zip(chosen, tokens, batch.labels, strict=True):
        counted = labels[labels != IGNORED]
        answer = row["messages"][1]["content"][0]["text"]
        assert processor.tokenizer.decode(counted) == f"{answer}<|im_end|>"
        assert torch.equal(ids[-len(counted) :], counted)
        assert _without_repeats(processor, ids[: -len(counted)]) == prompt
    assert batch.tokens == int((batch.labels != IGNORED).sum())


def _without_repeats(processor: Any, ids: torch.Tensor) -> str:
    """The text without padding, with one placeholder for all tokens of the image."""
    tokenizer, seen = processor.tokenizer, []
    for token in ids.tolist():
        repeated = token == processor.image_token_id and seen and seen[-1] == token
        if token != tokenizer.pad_token_id and not repeated:
            seen.append(token)
    return tokenizer.decode(seen)


def test_the_loss_is_transformers_own_and_padding_changes_nothing(processor: Any, architecture: str, folder: Path):
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    encoder = Encoder(processor, architecture, "image_first", 4096)
    chosen = rows("image_first")
    with torch.no_grad():
        together = model(**encoder(chosen).inputs).logits
        for row, padded in zip(chosen, together, strict=True):
            batch = encoder([row])
            full = torch.full_like(batch.inputs["input_ids"], IGNORED)
            full[:, -batch.labels.shape[1] :] = batch.labels
            expected = model(**batch.inputs, labels=full)
            kept = model(**batch.inputs, logits_to_keep=batch.labels.shape[1] + 1).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(kept, batch.labels[0])
            assert float(loss) == pytest.approx(float(expected.loss), rel=1e-4)
            assert torch.allclose(padded[-kept.shape[0] - 1 : -1], kept, atol=2e-3)


def test_another_layout_and_too_long_conversations_are_refused(processor: Any, architecture: str):
    with pytest.raises(InputError, match=r"model\.layout=policy_first"):
        Encoder(processor, architecture, "image_first", 4096)(rows("policy_first"))
    with pytest.raises(InputError, match=r"'a' has \d+ tokens, the context 100"):
        Encoder(processor, architecture, "image_first", 100)(rows("image_first"))


@pytest.mark.slow
def test_only_the_language_model_is_trained_unless_the_recipe_says_more(architecture: str, folder: Path):
    def trained(**others: Any) -> set[str]:
        settings = TuneSettings(name="test", **others)
        model = prepare(AutoModelForImageTextToText.from_pretrained(folder), settings)
        return {name for name, p in model.named_parameters() if p.requires_grad}

    everything = {name for name, _ in AutoModelForImageTextToText.from_pretrained(folder).named_parameters()}
    assert trained() == {n for n in everything if "language_model" in n or n.startswith("lm_head")}
    assert trained(train_vision_tower=True, train_projector=True) == everything
    assert {part_of(n) for n in everything - trained(train_projector=True)} == {"vision_tower"}
    adapters = trained(lora=LoraSettings(rank=2))
    assert all("language_model" in name and "lora_" in name for name in adapters)
    assert len(adapters) == 2 * 7 * tiny_models.Size().layers
    with pytest.raises(InputError, match="train towers without it"):
        trained(lora=LoraSettings(), train_projector=True)


def test_released_names_are_those_of_the_released_checkpoints(architecture: str, folder: Path):
    from safetensors.torch import load_file

    in_memory = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
    assert dict(released(in_memory, architecture)).keys() == load_file(folder / "model.safetensors").keys()


def test_the_order_is_one_permutation_after_the_other():
    order = training_order(5, 12, seed=1)
    assert len(order) == 12
    assert sorted(order[:5]) == sorted(order[5:10]) == list(range(5))
    assert training_order(5, 7, seed=1) == order[:7]
    assert training_order(5, 12, seed=7) != order
    settings = TuneSettings(name="test", epochs=3)
    assert total_steps(10, 4, settings) == 8
    assert total_steps(10, 4, settings.model_copy(update={"max_steps": 5})) == 5


def loss_and_gradient(model: Any, batch: Batch) -> tuple[float, torch.Tensor]:
    inputs = dict(batch.inputs)
    if batch.prefix is not None:
        inputs["past_key_values"] = continued(model, batch.prefix, len(batch.labels))
    logits = model(**inputs, logits_to_keep=batch.labels.shape[1] + 1).logits[:, :-1]
    loss = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED)
    model.zero_grad()
    loss.backward()
    return loss.item(), model.get_input_embeddings().weight.grad.clone()


def test_a_policy_computed_once_for_a_batch_changes_neither_loss_nor_gradient(tmp_path: Path):
    folder = tiny_models.build(tmp_path, "llava_onevision", [render_policy(POLICY)], tiny_models.Size(grid=1))
    processor, model = AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)
    whole, shared = (Encoder(processor, "llava_onevision", "policy_first", 4096, share=s) for s in (False, True))
    chosen = rows("policy_first")
    assert shared(chosen).inputs["input_ids"].shape[1] < whole(chosen).inputs["input_ids"].shape[1] / 2
    loss, gradient = loss_and_gradient(model, whole(chosen))
    loss_shared, gradient_shared = loss_and_gradient(model, shared(chosen))
    assert loss_shared == pytest.approx(loss, rel=1e-5)
    assert torch.allclose(gradient_shared, gradient, atol=1e-5)


def test_rows_that_begin_differently_share_nothing(processor: Any, architecture: str):
    policy = POLICY.model_copy(update={"name": "other", "brief": True})
    other = {**rows("policy_first")[0], "messages": messages_of(replace(CASES[0], policy=policy), "policy_first")}
    batch = Encoder(processor, architecture, "policy_first", 4096, share=True)([rows("policy_first")[0], other])
    assert batch.prefix is None
    assert "position_ids" not in batch.inputs


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 9))
def test_grouped_rows_stand_batch_by_batch_under_one_policy(policies: list[str], batch: int, seed: int):
    order = grouped_order(policies, 2 * len(policies), batch, seed)
    for one_pass in (order[: len(policies)], order[len(policies) :]):
        assert sorted(one_pass) == list(range(len(policies)))
        full = sum(policies.count(name) // batch for name in set(policies))
        groups = [one_pass[i * batch : (i + 1) * batch] for i in range(full)]
        assert all(len({policies[row] for row in group}) == 1 for group in groups)


def test_an_image_varies_from_draw_to_draw_and_the_same_draw_is_the_same(processor: Any, architecture: str):
    picture = io.BytesIO()
    Image.effect_mandelbrot((60, 60), (-2, -1, 1, 1), 40).convert("RGB").save(picture, "PNG")
    row = {**rows("image_first")[0], "image": {"bytes": picture.getvalue(), "path": None}}
    varying = Encoder(processor, architecture, "image_first", 4096, vary=3)
    first, again, second = (varying([{**row, "draw": draw}]).inputs["pixel_values"] for draw in (0, 0, 1))
    plain = Encoder(processor, architecture, "image_first", 4096)([row]).inputs["pixel_values"]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, plain)
    assert torch.equal(varying([row]).inputs["pixel_values"], plain), "held out rows are no draws"


def test_a_draw_says_its_number():
    drawn = Draws([{"key": "a"}, {"key": "b"}], [1, 1, 0])
    assert [drawn[i] for i in range(len(drawn))] == [
        {"key": "b", "draw": 0},
        {"key": "b", "draw": 1},
        {"key": "a", "draw": 2},
    ]
