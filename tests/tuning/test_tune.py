"""Tuning tiny checkpoints of both architectures: what is learnt, interrupted, resumed, and then loaded in vLLM."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from curate.cli.commands.tune import main
from curate.cli.hydra_config import compose_judge
from curate.core.errors import ExitCode, InputError
from curate.engines.shared_picture import unpacked
from curate.images.decoding import decode
from curate.judges.chat_prompt import prompt_text
from curate.judges.checkpoints import resolve_model_path
from curate.judges.prompts import question_for, render_policy
from curate.judges.verdicts import parse_answer
from curate.settings.model import ModelSettings
from curate.testing import tiny_models
from curate.tuning.encoding import Encoder
from curate.tuning.history import read_history
from tests.support.tuning_cases import POLICY, build_data, gold_rows, model, rows, write_gold
from tests.support.vllm_cases import PLACEHOLDERS, Running, engine_settings, pictures, reference, running
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.vllm

STEPS = 10
GREEDY = 12
"""Tokens of a greedy answer that are compared."""

RECIPES = {
    "llava_onevision": (
        "tune=builtin",
        "tune.share_policy=false",
        "tune.precision=float32",
        "tune.weight_decay=0",
        "tune.warmup=0.03",
        "tune.epochs=3",
        "tune.train_vision_tower=false",
        "tune.train_projector=false",
        "tune.learning_rate=5e-3",
    ),
    # Dropout, so that resuming has random states to restore.
    "qwen2_5_vl": (
        "tune=lora",
        "tune.precision=float32",
        "tune.workers=0",
        "tune.lora.rank=8",
        "tune.lora.alpha=32",
        "tune.lora.dropout=0.1",
        "tune.learning_rate=2e-2",
    ),
}
"""The language model itself for one architecture, adapters for the other."""

STEPWISE = (
    f"tune.max_steps={STEPS}",
    "tune.batch=2",
    "tune.accumulate=2",
    "tune.threads=1",
    "tune.log_every=1",
    "tune.evaluate_every=5",
    "tune.checkpoint_every=2",
)


@dataclass(frozen=True)
class Tuned:
    """A finished tuning and how it was called."""

    architecture: str
    base: Path
    data: Path
    folder: Path

    def arguments(self, folder: Path) -> list[str]:
        where = [f"model.path={self.base}", f"data={self.data}", f"output.dir={folder}"]
        return [
            "model=local",
            "model.dtype=float32",
            "model.rationale_chars=80",
            *where,
            *RECIPES[self.architecture],
            *STEPWISE,
        ]


@pytest.fixture(scope="module", params=list(RECIPES))
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuning")
    texts = [render_policy(POLICY), *(row["template"] for row in gold_rows(12))]
    base = tiny_models.build(folder / "base", request.param, texts, tiny_models.Size(grid=1, vocabulary=900))
    build_data(write_gold(gold_rows(12), folder), folder / "data", model(rationale_chars=80), dev=0.3)
    made = Tuned(request.param, base, folder / "data", folder / "tuned")
    assert main(made.arguments(made.folder)) is ExitCode.DONE
    return made


@pytest.fixture(scope="module")
def judge(tuned: Tuned) -> Iterator[Running]:
    with running(settings_of(tuned), engine_settings()) as engine:
        yield engine


def settings_of(tuned: Tuned) -> ModelSettings:
    return compose_judge([f"model={tuned.folder / 'model.yaml'}"])[0]


def in_transformers(tuned: Tuned) -> Any:
    settings = settings_of(tuned)
    whole = AutoModelForImageTextToText.from_pretrained(resolve_model_path(settings), dtype=torch.float32).eval()
    return PeftModel.from_pretrained(whole, settings.adapter).eval() if settings.adapter else whole


def losses(folder: Path, name: str) -> list[float]:
    return [record[name] for record in read_history(folder) if name in record]


def test_it_learns_and_shows_it(tuned: Tuned):
    history = losses(tuned.folder, "loss")
    assert len(history) == STEPS
    assert history[-1] < 0.8 * history[0]
    assert len(losses(tuned.folder, "dev_loss")) == 2
    assert (tuned.folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not (tuned.folder / "checkpoints").exists()


def test_a_killed_tuning_goes_on_as_if_it_had_not_been(tuned: Tuned, tmp_path: Path):
    arguments = tuned.arguments(tmp_path / "killed")
    command = [sys.executable, "-m", "curate", "tune", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        checkpoints = "killed/checkpoints/step-*"
        wait_until(lambda: list(tmp_path.glob(checkpoints)), "no checkpoint was written", alive=process, every=0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed" / "model.yaml").exists()
    assert main(arguments) is ExitCode.DONE
    for name in ("loss", "dev_loss", "learning_rate"):
        assert losses(tmp_path / "killed", name) == pytest.approx(losses(tuned.folder, name), rel=1e-4)


INTERRUPTED = """
import os, signal
from curate.__main__ import program
from curate.tuning.loop import Loop

steps, step = [], Loop._step

def interrupted(*arguments):
    steps.append(None)
    if len(steps) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return step(*arguments)

Loop._step = interrupted
program()
"""
"""The program, with Ctrl-C pressed in its third step."""


def test_ctrl_c_lets_a_tuning_finish_its_step_and_keep_it(tuned: Tuned, tmp_path: Path):
    arguments = tuned.arguments(tmp_path / "interrupted")
    command = [sys.executable, "-c", INTERRUPTED, "tune", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 75, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("curate: ")]
    assert said.startswith("curate: finishing this step and its checkpoint (Ctrl-C again stops now)")
    assert "Traceback" not in done.stderr
    (checkpoint,) = (tmp_path / "interrupted" / "checkpoints").glob("step-*")
    assert int(checkpoint.name.removeprefix("step-")) == len(losses(tmp_path / "interrupted", "loss")) < STEPS
    assert main(arguments) is ExitCode.DONE
    for name in ("loss", "dev_loss", "learning_rate"):
        assert losses(tmp_path / "interrupted", name) == pytest.approx(losses(tuned.folder, name), rel=1e-4)


def test_a_finished_tuning_is_left_alone_and_another_is_refused(tuned: Tuned):
    before = (tuned.folder / "metrics.jsonl").stat().st_mtime_ns
    assert main(tuned.arguments(tuned.folder)) is ExitCode.DONE
    assert (tuned.folder / "metrics.jsonl").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="holds a tuning of another tune"):
        main([*tuned.arguments(tuned.folder), "tune.epochs=2"])


def test_what_was_frozen_has_not_changed(tuned: Tuned):
    before = AutoModelForImageTextToText.from_pretrained(tuned.base, dtype=torch.float32).state_dict()
    after = in_transformers(tuned)
    after = after.merge_and_unload().state_dict() if settings_of(tuned).adapter else after.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed
    assert all("language_model" in name or name.startswith("lm_head") for name in changed)


def test_the_engine_asks_what_was_trained(tuned: Tuned, judge: Running):
    """The prompt's tokens are those in front of the loss, up to the answer's prefix that the engine adds."""
    row = rows(tuned.data)[0]
    encoder = Encoder(AutoProcessor.from_pretrained(tuned.base), tuned.architecture, "image_first", 4096)
    batch = encoder([row])
    trained = batch.inputs["input_ids"][0].tolist()
    asked = _asked(judge, row)
    assert asked == trained[: len(asked)]
    assert 0 < len(asked) - (len(trained) - batch.labels.shape[1]) < 12


def _asked(judge: Running, row: dict[str, Any]) -> list[int]:
    picture = decode(row["image"]["bytes"], max_bytes=2**20, max_pixels=2**20).image
    payload = judge.renderer.render(picture, "", question())
    return list(unpacked(payload.data)["prompt_token_ids"])


def question() -> Any:
    return question_for(POLICY, "all", None, 80)


def test_greedy_answers_of_vllm_and_transformers_agree(tuned: Tuned, judge: Running):
    expecting = in_transformers(tuned)
    processor = AutoProcessor.from_pretrained(tuned.base)
    text = prompt_text(processor, render_policy(POLICY), "image_first", PLACEHOLDERS[tuned.architecture])
    for picture in pictures(4):
        inputs = processor(images=picture, text=text, return_tensors="pt")
        with torch.inference_mode():
            output = expecting.generate(
                **inputs, max_new_tokens=GREEDY, do_sample=False, return_dict_in_generate=True, output_logits=True
            )
        tokens = output.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        expected = [logits[0].log_softmax(-1).topk(5) for logits in output.logits]
        found = greedy(judge, picture, tokens, [top.indices.tolist() for top in expected])
        for token, logprobs, top in zip(tokens, found, expected, strict=True):
            assert max(logprobs, key=logprobs.__getitem__) == token
            assert [logprobs[i] for i in top.indices.tolist()] == pytest.approx(top.values.tolist(), abs=5e-3)


def greedy(
    judge: Running, picture: Any, tokens: Sequence[int], candidates: Sequence[Sequence[int]]
) -> list[dict[int, float]]:
    """What vLLM holds of the candidates behind each beginning of `tokens`; no grammar."""
    prompt = unpacked(judge.renderer.render(picture, "", question()).data)
    backend = judge.engine._backend

    async def ask() -> list[dict[int, float]]:
        asked = (backend.next_token(prompt, tokens[:i], some) for i, some in enumerate(candidates))
        return [dict(completion.logprobs) for completion in await asyncio.gather(*asked)]

    return judge.runner.run(ask())


def test_the_tuned_safeguard_answers_and_knows_the_labels_better_than_its_base(tuned: Tuned, judge: Running):
    answers = judge.ask(pictures(4), question())
    assert all(parse_answer(answer.text, question()).rationale for answer in answers)
    base = AutoModelForImageTextToText.from_pretrained(tuned.base, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(tuned.base)
    text = prompt_text(processor, render_policy(POLICY), "image_first", PLACEHOLDERS[tuned.architecture])
    with torch.inference_mode():
        before = [reference(base, processor, picture, text).label_mass for picture in pictures(4)]
    assert min(answer.label_mass for answer in answers) > 2 * max(before)
