"""The vLLM engine on tiny checkpoints of both real architectures, against transformers on the same weights."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from curate.annotation.preprocess_pool import Limits, Preparer
from curate.core.errors import EngineDead, InputError, RequestRejected
from curate.core.package_files import packaged
from curate.core.types import Rating, Sample
from curate.engines.engine_folder import PREFIX
from curate.engines.shared_picture import unpacked
from curate.engines.vllm_engine import VllmEngine, VllmRendererFactory
from curate.images.decoding import decode
from curate.images.jpeg_reduction import Needed
from curate.judges.chat_prompt import prompt_text
from curate.judges.verdicts import parse_answer
from curate.processes.piped_process import PipedProcess
from curate.testing import tiny_models
from tests.support.vllm_cases import (
    PLACEHOLDERS,
    QUESTION,
    Running,
    engine_settings,
    pictures,
    reference,
    reference_shares,
    running,
    settings,
)
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="session", params=["llava_onevision", "qwen2_5_vl"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tiny_models.build(tmp_path_factory.mktemp("tiny"), request.param, [QUESTION.text])
    with running(settings(folder, request.param), engine_settings()) as engine:
        yield engine


@pytest.fixture(scope="session")
def onevision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.build(tmp_path_factory.mktemp("onevision"), "llava_onevision", [QUESTION.text])


def test_every_answer_parses_and_its_rating_is_the_more_probable(tiny: Running):
    answers = tiny.ask(pictures(8))
    for answer in answers:
        verdict = parse_answer(answer.text, QUESTION)
        assert verdict.rationale
        assert (verdict.rating is Rating.UNSAFE) == (answer.p_unsafe > 0.5)
    assert len({a.p_unsafe for a in answers}) > 1


@pytest.mark.parametrize("layout", ["image_first", "policy_first"])
def test_p_unsafe_is_what_transformers_finds(tiny: Running, layout: str):
    model = AutoModelForImageTextToText.from_pretrained(tiny.model.path, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(tiny.model.path)
    text = prompt_text(processor, QUESTION.text, layout, PLACEHOLDERS[tiny.model.architecture])
    factory = tiny.engine.renderer_factory()
    assert isinstance(factory, VllmRendererFactory)
    renderer = replace(factory, model=tiny.model.model_copy(update={"layout": layout}))()
    images = pictures(4)
    payloads = [renderer.render(image, "", QUESTION) for image in images]
    for image, payload, answer in zip(images, payloads, tiny.judge(payloads, QUESTION), strict=True):
        with torch.inference_mode():
            expected = reference(model, processor, image, text)
        assert payload.prompt_tokens == expected.tokens
        assert answer.p_unsafe == pytest.approx(expected.p_unsafe, abs=2e-4)
        assert answer.label_mass == pytest.approx(expected.label_mass, rel=2e-3)


def test_scores_of_categories_are_what_transformers_finds(tiny: Running):
    question = replace(QUESTION, violable=QUESTION.categories, category_scores=True)
    model = AutoModelForImageTextToText.from_pretrained(tiny.model.path, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(tiny.model.path)
    text = prompt_text(processor, QUESTION.text, "image_first", PLACEHOLDERS[tiny.model.architecture])
    images = pictures(4)
    for image, answer in zip(images, tiny.ask(images, question), strict=True):
        with torch.inference_mode():
            shares = reference_shares(model, processor, image, text, question.violable)
        assert answer.category_scores == pytest.approx({c: answer.p_unsafe * s for c, s in shares.items()}, abs=2e-4)
        assert sum(answer.category_scores.values()) == pytest.approx(answer.p_unsafe)


def test_an_unsafe_answer_names_the_category_with_the_highest_score(tiny: Running):
    unsafe_alone = replace(QUESTION, categories=(), violable=QUESTION.categories[:2], category_scores=True)
    for answer in tiny.ask(pictures(4), unsafe_alone):
        verdict = parse_answer(answer.text, unsafe_alone)
        assert answer.category_scores[verdict.category] == pytest.approx(max(answer.category_scores.values()), rel=1e-3)


def test_scores_of_categories_cost_one_token_for_each_place_where_they_part(tiny: Running):
    payload = tiny.renderer.render(pictures(1)[0], "", QUESTION)
    question = replace(QUESTION, rationale="none", violable=QUESTION.categories[:2])
    (without,), (scored,) = (tiny.judge([payload], replace(question, category_scores=w)) for w in (False, True))
    assert without.category_scores is None
    assert scored.output_tokens == without.output_tokens + 1
    assert scored.cached_tokens > without.cached_tokens + payload.prompt_tokens - 64
    assert (scored.text, scored.p_unsafe) == (without.text, pytest.approx(without.p_unsafe, abs=2e-4))
    single = replace(question, violable=QUESTION.violable)
    (without,), (alone,) = (tiny.judge([payload], replace(single, category_scores=w)) for w in (False, True))
    assert alone.output_tokens == without.output_tokens
    assert alone.category_scores == {"O1": alone.p_unsafe}


def test_the_second_pass_finds_the_first_in_the_cache(tiny: Running):
    before = tiny.engine.metrics()
    payload = tiny.renderer.render(Image.effect_noise((90, 90), 99).convert("RGB"), "", QUESTION)
    (answer,) = tiny.judge([payload], QUESTION)
    after = tiny.engine.metrics()
    assert answer.cached_tokens > payload.prompt_tokens - 64
    assert answer.prompt_tokens > 2 * payload.prompt_tokens
    assert after["prefix_cache_hits"] - before["prefix_cache_hits"] == answer.cached_tokens
    assert after["generation_tokens"] - before["generation_tokens"] == answer.output_tokens


@pytest.mark.parametrize("layout", ["image_first", "policy_first"])
def test_one_picture_under_several_policies_is_processed_once_and_judged_as_by_itself(tiny: Running, layout: str):
    factory = replace(tiny.engine.renderer_factory(), model=tiny.model.model_copy(update={"layout": layout}))
    together, apart = factory(), factory()
    processed = []
    render = together._renderer.render_cmpl
    together._renderer.render_cmpl = lambda prompts: processed.append(prompts) or render(prompts)
    questions = [QUESTION, *(replace(QUESTION, policy=p, text=f"{p} policy. {QUESTION.text}") for p in ("A", "B"))]
    for image in pictures(3):
        shared = [together.render(image, "", question) for question in questions]
        single = [apart.render(image.copy(), "", question) for question in questions]
        assert len({payload.data[1] for payload in shared}) == 1
        for one, other in zip(shared, single, strict=True):
            a, b = unpacked(one.data), unpacked(other.data)
            for name in ("prompt_token_ids", "mm_hashes", "mm_placeholders"):
                assert a[name] == b[name]
            assert a["mm_kwargs"]["image"][0].get_data().keys() == b["mm_kwargs"]["image"][0].get_data().keys()
            for key, value in a["mm_kwargs"]["image"][0].get_data().items():
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(b["mm_kwargs"]["image"][0].get_data()[key]))
        for question, one, other in zip(questions, shared, single, strict=True):
            (answer,), (alone,) = tiny.judge([one], question), tiny.judge([other], question)
            assert answer.p_unsafe == pytest.approx(alone.p_unsafe, abs=2e-4)
    assert len(processed) == 3


def test_policy_first_shares_the_policy_between_pictures(tiny: Running):
    factory = tiny.engine.renderer_factory()
    question = replace(QUESTION, text=f"Another policy. {QUESTION.text}")
    renderer = replace(factory, model=tiny.model.model_copy(update={"layout": "policy_first"}))()
    first, second = (tiny.judge([renderer.render(i, "", question)], question)[0] for i in pictures(2))
    assert second.cached_tokens > first.cached_tokens


@pytest.mark.parametrize(
    ("mode", "above", "safe_has_one", "unsafe_has_one"),
    [
        ("all", None, True, True),
        ("unsafe", None, False, True),
        ("unsafe", 0.0, True, True),
        ("unsafe", 1.0, False, True),
        ("none", None, False, False),
    ],
)
def test_who_gets_a_rationale(tiny: Running, mode: str, above: float | None, safe_has_one: bool, unsafe_has_one: bool):
    question = replace(QUESTION, rationale=mode, rationale_above=above)
    for answer in tiny.ask(pictures(6), question):
        verdict = parse_answer(answer.text, question)
        expected = unsafe_has_one if verdict.rating is Rating.UNSAFE else safe_has_one
        assert (verdict.rationale is not None) == expected


def test_where_nothing_is_enforced_nothing_is_unsafe(tiny: Running):
    question = replace(QUESTION, violable=())
    assert all('"rating": "Safe"' in a.text for a in tiny.ask(pictures(6), question))


def test_a_prompt_that_is_too_long_is_rejected_and_the_engine_lives_on(tiny: Running):
    with pytest.raises(RequestRejected, match="context"):
        tiny.renderer.render(pictures(1)[0], "", replace(QUESTION, text=QUESTION.text * 20))
    payload = tiny.renderer.render(pictures(1)[0], "", QUESTION)
    rest, pixels = payload.data
    prompt = pickle.loads(rest)
    prompt["prompt_token_ids"] = prompt["prompt_token_ids"] + prompt["prompt_token_ids"][-1:] * 4096
    with pytest.raises(RequestRejected):
        tiny.judge([replace(payload, data=(pickle.dumps(prompt), pixels))], QUESTION)
    assert tiny.judge([payload], QUESTION)


def test_a_placeholder_in_the_policy_is_refused(tiny: Running):
    placeholder = PLACEHOLDERS[tiny.model.architecture]
    with pytest.raises(InputError, match="would take the image's place"):
        tiny.renderer.render(pictures(1)[0], "", replace(QUESTION, text=f"See {placeholder} here."))


def test_a_worker_process_renders_the_same(tiny: Running):
    image = pictures(3)[2]
    png = io.BytesIO()
    image.save(png, "PNG")
    limits = Limits(max_bytes=2**20, max_pixels=10**6)
    worker = PipedProcess(Preparer(tiny.engine.renderer_factory(), limits))
    try:
        prepared = worker.ask((Sample(key="a", index=0, image=png.getvalue()), (QUESTION,)))
    finally:
        worker.stop()
    there, here = prepared.payloads[0][0], tiny.renderer.render(image, "", QUESTION)
    assert there.nbytes == here.nbytes
    first, second = tiny.judge([there, here], QUESTION)
    assert first.text == second.text
    assert first.p_unsafe == pytest.approx(second.p_unsafe, abs=1e-6)


def test_a_pixel_budget_makes_fewer_tokens(tiny: Running):
    factory = tiny.engine.renderer_factory()
    small = replace(factory, model=tiny.model.model_copy(update={"max_pixels": 56 * 56}))()
    image = Image.effect_noise((400, 400), 50).convert("RGB")
    few, many = (r.render(image, "", QUESTION).prompt_tokens for r in (small, tiny.renderer))
    assert few < many


def test_an_adapter_is_applied(tmp_path: Path):
    """On Qwen2.5-VL: vLLM 0.32 applies none to LLaVA-OneVision, and says so when it loads."""
    peft = pytest.importorskip("peft")
    qwen = tiny_models.build(tmp_path / "qwen", "qwen2_5_vl", [QUESTION.text])
    base = AutoModelForImageTextToText.from_pretrained(qwen, dtype=torch.float32)
    config = peft.LoraConfig(r=4, target_modules=r".*language_model.*\.(q|v)_proj", init_lora_weights=False)
    torch.manual_seed(0)
    tuned = peft.get_peft_model(base, config).eval()
    tuned.save_pretrained(tmp_path / "adapter")
    processor = AutoProcessor.from_pretrained(qwen)
    text = prompt_text(processor, QUESTION.text, "image_first", PLACEHOLDERS["qwen2_5_vl"])
    images = pictures(2)
    with torch.inference_mode():
        expected = [reference(tuned, processor, image, text).p_unsafe for image in images]
        with tuned.disable_adapter():
            without = [reference(tuned, processor, image, text).p_unsafe for image in images]
    model = settings(qwen, "qwen2_5_vl", adapter=str(tmp_path / "adapter"))
    with running(model, engine_settings()) as engine:
        found = [answer.p_unsafe for answer in engine.ask(images)]
    assert found == pytest.approx(expected, abs=1e-3)
    assert found != pytest.approx(without, abs=1e-3)


def test_weights_that_do_not_fit_give_one_line(onevision: Path, tmp_path: Path):
    for file in onevision.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights["language_model.lm_head.weight"] = weights["language_model.lm_head.weight"][:, :-8].contiguous()
    save_file(weights, tmp_path / "model.safetensors")
    with (
        pytest.raises(InputError, match="cannot load") as caught,
        running(settings(tmp_path, "llava_onevision"), engine_settings()),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_arguments_that_vllm_refuses_give_one_line(onevision: Path):
    factory = VllmEngine(
        settings(onevision, "llava_onevision"), engine_settings(args={"no_such_argument": 1})
    ).renderer_factory()
    with pytest.raises(InputError, match="no_such_argument") as caught:
        factory()
    assert "\n" not in str(caught.value)


def test_an_engine_killed_before_its_first_request_is_missed_at_once(onevision: Path):
    with running(settings(onevision, "llava_onevision"), engine_settings()) as engine:
        payload = engine.renderer.render(pictures(1)[0], "", QUESTION)
        _core().kill()
        with pytest.raises(EngineDead, match="process is gone"):
            engine.judge([payload] * 3, QUESTION)


def test_an_engine_that_hangs_or_dies_under_way_is_dead_and_leaves_nothing(onevision: Path):
    with running(settings(onevision, "llava_onevision"), engine_settings()) as engine:
        payload = engine.renderer.render(pictures(1)[0], "", QUESTION)
        engine.judge([payload], QUESTION)
        engine.engine._settings = engine_settings(timeout=5)  # from here on: the first answer takes as long as it takes
        core = _core()
        core.suspend()
        with pytest.raises(EngineDead, match="answered nothing for 5 s"):
            engine.judge([payload] * 3, QUESTION)

        async def kill_under_way() -> None:
            judging = asyncio.ensure_future(engine.engine.judge(payload, QUESTION))
            await asyncio.sleep(0.2)
            core.kill()
            await judging

        with pytest.raises(EngineDead, match="process is gone"):
            engine.runner.run(kill_under_way())
    assert not core.is_running()


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files, with a name short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


@pytest.fixture
def starting(onevision: Path, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to start an engine, which it runs until its standard input ends."""
    path = onevision.parent / "parent.py"
    path.write_text(PARENT)
    command = [sys.executable, str(path), str(onevision), str(Path(__file__).parents[2])]
    pipe = subprocess.PIPE
    env = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        yield process
        process.kill()


@pytest.fixture
def parent(starting: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """The same once its engine runs."""
    assert starting.stdout is not None
    assert starting.stdout.readline() == "ready\n"
    return starting


PARENT = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from tests.support.vllm_cases import engine_settings, running, settings
if __name__ == "__main__":
    with running(settings(Path(sys.argv[1]), "llava_onevision"), engine_settings()):
        print("ready", flush=True)
        sys.stdin.read()
"""


GREETED_SECONDS = 300
"""How long vLLM's engine waits for its parent before it ends by itself; who waits as long for that proves nothing."""


def test_the_engine_ends_with_a_parent_that_was_killed(parent: subprocess.Popen[str]):
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    assert survivors_of_a_kill(parent, children) == []


def test_the_engine_ends_with_a_parent_that_was_killed_while_it_imports_vllm(starting: subprocess.Popen[str]):
    """Before it can load a model; left alone it would wait `GREETED_SECONDS` for the parent to greet it."""
    parent = psutil.Process(starting.pid)
    wait_until(lambda: imports_torch(parent), "no child imported PyTorch", alive=starting)
    assert survivors_of_a_kill(starting, parent.children(recursive=True), within=GREETED_SECONDS / 2) == []


def imports_torch(parent: psutil.Process) -> bool:
    """Whether a child does."""
    try:
        return any("libtorch" in region.path for child in parent.children() for region in child.memory_maps())
    except psutil.NoSuchProcess:
        return False


def survivors_of_a_kill(
    parent: subprocess.Popen[str], children: list[psutil.Process], within: float = HANG_SECONDS
) -> list[psutil.Process]:
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    return psutil.wait_procs(children, timeout=within)[1]


def test_an_engine_comes_and_goes_without_a_word_or_a_trace(parent: subprocess.Popen[str], temporary: Path):
    assert any(path.is_socket() for path in temporary.rglob("*"))
    assert [path.name for path in temporary.iterdir() if path.is_socket()] == []
    assert parent.communicate(timeout=HANG_SECONDS) == ("", "")
    assert parent.returncode == 0
    assert list(temporary.glob(f"{PREFIX}*")) == []


def _core() -> psutil.Process:
    """The engine's process that was started last."""
    children = psutil.Process().children()
    return max((p for p in children if "EngineCore" in "".join(p.cmdline())), key=psutil.Process.create_time)


def test_a_reduced_jpeg_is_rendered_nearly_the_same():
    path = Path(packaged("data/safeguard"))
    model = settings(path, "llava_onevision")
    renderer = VllmEngine(model, engine_settings()).renderer_factory()()
    assert renderer.needed == Needed(side=224)
    jpeg = io.BytesIO()
    Image.effect_noise((30, 20), 90).convert("RGB").resize((1001, 751), Image.Resampling.BICUBIC).save(jpeg, "JPEG")
    images = [
        decode(jpeg.getvalue(), max_bytes=2**24, max_pixels=10**7, needed=needed).image
        for needed in (None, renderer.needed)
    ]
    assert [image.size for image in images] == [(1001, 751), (501, 376)]
    whole, reduced = (unpacked(renderer.render(image, "", QUESTION).data) for image in images)
    assert whole["prompt_token_ids"] == reduced["prompt_token_ids"]
    pixels = [prompt["mm_kwargs"]["image"][0]["pixel_values"].data.float() for prompt in (whole, reduced)]
    level = 1 / 255 / 0.27  # of eight bits, as the image processor normalises them
    assert 0 < float((pixels[0] - pixels[1]).abs().mean()) < 3 * level
