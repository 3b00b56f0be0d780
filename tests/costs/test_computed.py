"""Costs that are computed before a model is there: tokens as the processors make them, rates as counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.cli.hydra_config import compose_judge
from curate.cli.program import main
from curate.costs.computed import computed
from curate.costs.gpu_bound import cost, size_of
from curate.costs.picture_tokens import PICTURES
from curate.settings.config_groups import group_names
from tests.support.jobs import script, write_tar

ROOT = Path(__file__).parents[2]
SIZES = [(640, 480), (480, 640), (1024, 1024), (2000, 1500), (300, 200), (1200, 300), (384, 384), (3000, 500), (90, 70)]


@pytest.fixture
def tables():
    return script("cost_table")


def model_of(name, *more):
    return compose_judge([f"model={name}", *more])[0]


@pytest.mark.slow
@pytest.mark.parametrize("side", SIZES)
def test_tokens_of_llava_onevision_are_those_of_its_processor(side):
    from transformers import LlavaOnevisionImageProcessor, LlavaOnevisionProcessor

    # The processor wants a tokenizer, which counting has no use for.
    processor = object.__new__(LlavaOnevisionProcessor)
    processor.image_processor = LlavaOnevisionImageProcessor()
    processor.num_image_tokens, processor.vision_aspect_ratio = 729, "anyres_max_9"
    width, height = side
    expected = processor._get_number_of_features(height, width, 384, 384)
    assert PICTURES["onevision"](width, height, None).read == pytest.approx(expected, rel=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("budget", [1003520, 262144])
def test_tokens_of_qwen_are_those_of_its_processor(side, budget):
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    width, height = side
    tall, wide = smart_resize(height, width, factor=28, min_pixels=56 * 56, max_pixels=budget)
    tokens = PICTURES["qwen"](width, height, budget)
    assert tokens.read == pytest.approx(tall * wide / 784, rel=0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "budget", "picture", "image_first", "policy_first"),
    [
        ("llavaguard_0.5b", 147456, (640, 480), 90, 114),
        ("llavaguard_0.5b", None, (640, 480), 45, 50),
        ("llavaguard_0.5b", None, (1024, 1024), 23, 25),
        ("llavaguard_0.5b", None, (2000, 1500), 15, 16),
        ("llavaguard_7b", 147456, (640, 480), 8.8, 14),
        ("llavaguard_7b", None, (640, 480), 5.1, 6.4),
        ("llavaguard_7b", None, (1024, 1024), 2.9, 3.3),
        ("llavaguard_7b", None, (2000, 1500), 2.7, 3.0),
        ("qwenguard_3b", 1003520, (1024, 1024), 16, 23),
        ("qwenguard_3b", 262144, (1024, 1024), 28, 57),
    ],
)
def test_rates_are_near_those_counted_by_hand(name, budget, picture, image_first, policy_first):
    model = model_of(name).model_copy(update={"max_pixels": budget})
    for layout, expected in (("image_first", image_first), ("policy_first", policy_first)):
        found = cost(model.model_copy(update={"layout": layout}), size_of(model), picture, 5407)
        assert found.rate == pytest.approx(expected, rel=0.2)


@pytest.mark.slow
def test_every_shipped_model_of_the_hub_has_a_size():
    names = [name for name in group_names("model") if name not in ("builtin", "local")]
    assert [name for name in names if size_of(model_of(name)) is None] == []


def test_a_model_too_large_for_one_card_takes_two():
    model = model_of("llavaguard_v1_34b")
    found = cost(model, size_of(model), (640, 480), 5407)
    assert found.gpus == 2
    assert found.gpu_hours_a_million == pytest.approx(2 * 1e6 / found.rate / 3600)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "table"), [("README.md", "short"), ("docs/costs.md", "full")])
def test_the_tables_are_what_is_computed_now(tables, name, table):
    text = (ROOT / name).read_text()
    assert getattr(tables, table)() in text
    assert tables.written(text, getattr(tables, table)()) == text


@pytest.fixture
def nothing_cached(tmp_path, monkeypatch):
    """A machine without any model of the hub, nor a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "a.tar", range(5))
    return tmp_path


def test_a_plan_costs_what_is_not_there_and_says_that_it_did_not_measure(nothing_cached, capsys):
    before = sorted(nothing_cached.rglob("*"))
    assert main(["plan", "+dataset=laion_subset", "dataset.shards=a.tar", "model=llavaguard_7b"]) == 0
    said = capsys.readouterr().out
    for part in ("not measured", "LlavaGuard-v1.2-7B-OV is not on this machine", "48 x 32", "GPU-hours", "probe=64"):
        assert part in said
    assert sorted(nothing_cached.rglob("*")) == before


@pytest.mark.slow
def test_policies_add_up_and_cards_share(nothing_cached):
    from curate.cli.hydra_config import compose_settings
    from curate.runs.plan import make_plan

    arguments = ["+dataset=laion_subset", "dataset.shards=a.tar", "model=llavaguard_7b"]
    one, two = (compose_settings([*arguments, *more]) for more in ([], ["policies=[llavaguard,medical]"]))
    plan = make_plan(one.dataset)
    assert 1.5 < computed(two, plan).gpu_seconds / computed(one, plan).gpu_seconds < 2.5


def test_what_is_here_is_measured_and_not_computed(nothing_cached):
    from curate.cli.hydra_config import compose_settings
    from curate.runs.plan import make_plan

    for more in (["model=builtin"], ["model=llavaguard_7b", "engine=fake"]):
        settings = compose_settings(["+dataset=laion_subset", "dataset.shards=a.tar", *more])
        assert computed(settings, make_plan(settings.dataset)) is None
