"""The training loop: steps, evaluation, checkpoints. Goes on from the last checkpoint as if nothing had happened.

Own rather than transformers' `Trainer`, which goes on from a checkpoint without complaint when the names in it are not
those in memory, as is the case for the released checkpoints: the run would start from the beginning, unseen. What is
hard is accelerate's: several GPUs (`accelerate launch -m curate tune ...`), precision, random states.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import get_scheduler

from curate.core.errors import Drained
from curate.processes.interruption import drains
from curate.settings.tune import TuneSettings
from curate.tuning.dataset import Conversations
from curate.tuning.encoding import IGNORED, Batch, Encoder
from curate.tuning.history import History, draw_curve
from curate.tuning.order import Draws, grouped_order, training_order
from curate.tuning.shared_prefix import continued

CHECKPOINTS = "checkpoints"

_PRECISION = {"bfloat16": "bf16", "float32": "no"}
_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)


class Loop:
    """One tuning in one folder.

    Args:
        model: with what is trained requiring gradients.
        encoder: makes batches.
        data: conversations.
        settings: the recipe.
        folder: for checkpoints and history.
    """

    def __init__(self, model: Any, encoder: Encoder, data: Conversations, settings: TuneSettings, folder: Path) -> None:
        self.accelerator = Accelerator(
            mixed_precision=_PRECISION[settings.precision], step_scheduler_with_optimizer=False
        )
        self._encoder = encoder
        self._data = data
        self._settings = settings
        self._folder = folder
        self.steps = total_steps(len(data.train), self._group(), settings)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        warmup = math.ceil(settings.warmup * self.steps)
        scheduler = get_scheduler(settings.schedule, optimizer, num_warmup_steps=warmup, num_training_steps=self.steps)
        self.model, self._optimizer, self._scheduler = self.accelerator.prepare(model, optimizer, scheduler)
        self.accelerator.register_save_state_pre_hook(_without_frozen)
        self._told_to_end = Event()

    def run(self) -> History:
        """Train to the end; the history is complete, and the last checkpoint is that of the last step.

        Raises:
            Drained: a signal asked for an early end; the last checkpoint is that of the step it came in.
        """
        done = self._restore()
        history = History(self._folder, done)
        bar = tqdm(total=self.steps, initial=done, unit=" steps", dynamic_ncols=True, disable=self._quiet())
        with bar, drains(lambda: "this step and its checkpoint", self._told_to_end.set):
            self._train(done, history, bar)
        return history

    def _train(self, done: int, history: History, bar: tqdm[Any]) -> None:
        batches = self._batches(done)
        started, sums = time.monotonic(), []
        for step in range(done + 1, self.steps + 1):
            sums.append(self._step([next(batches) for _ in range(self._settings.accumulate)]))
            bar.update()
            ends_early = self._ends_early()
            if self._is_due(step, self._settings.log_every):
                loss = sum(sums) / len(sums)
                rate = self._scheduler.get_last_lr()[0]
                self._note(history, step, loss=loss, learning_rate=rate, seconds=time.monotonic() - started)
                bar.set_postfix_str(f"loss {loss:.4f}")
                sums = []
            if self._is_due(step, self._settings.evaluate_every):
                self._evaluate(history, step)
            if ends_early or self._is_due(step, self._settings.checkpoint_every):
                self._save(step)
            if ends_early and step < self.steps:
                raise Drained(f"stopped after step {step}, nothing is lost; run the same command again to go on")

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights, gathered from where they are; every process has to call it."""
        weights: dict[str, torch.Tensor] = self.accelerator.get_state_dict(self.model)
        return weights

    def _evaluate(self, history: History, step: int) -> None:
        if self._data.dev is not None:
            self._note(history, step, dev_loss=self._dev_loss(self._data.dev))
        if self.accelerator.is_main_process:
            draw_curve(history, self._folder)

    def _dev_loss(self, dev: Any) -> float:
        """Mean loss of an answer token over the dev split."""
        self.model.eval()
        loss, tokens = torch.zeros((), device=self.accelerator.device), 0
        with torch.no_grad():
            for batch in self._loader(dev, range(len(dev))):
                loss += self._loss(batch)
                tokens += batch.tokens
        self.model.train()
        return float(self._sum(loss) / self._sum(torch.tensor(tokens, device=loss.device)))

    def _group(self) -> int:
        """Conversations in one optimizer step."""
        return self._settings.batch * self._settings.accumulate * int(self.accelerator.num_processes)

    def _quiet(self) -> bool | None:
        return None if self.accelerator.is_main_process else True

    def _ends_early(self) -> bool:
        """Whether a signal asked any of the processes to end, as all of them have to save together."""
        return bool(self._sum(torch.tensor(int(self._told_to_end.is_set()), device=self.accelerator.device)))

    def _is_due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.steps

    def _batches(self, done: int) -> Iterator[Batch]:
        drawn = Draws(self._data.train, self._order(self.steps * self._group()))
        return iter(self._loader(drawn, range(done * self._group(), len(drawn))))

    def _order(self, length: int) -> list[int]:
        if self._settings.share_policy:
            return grouped_order(self._data.policies[:], length, self._settings.batch, self._settings.seed)
        return training_order(len(self._data.train), length, self._settings.seed)

    def _loader(self, rows: Any, order: Sequence[int]) -> DataLoader[Batch]:
        own = order[self.accelerator.process_index :: self.accelerator.num_processes]
        return DataLoader(
            rows,
            batch_size=self._settings.batch,
            sampler=list(own),
            collate_fn=self._encoder,
            num_workers=self._settings.workers,
            # A loader draws a seed when it starts. From a generator of its own, or the states that a checkpoint
            # restores would be others than without the interruption.
            generator=torch.Generator(),
        )

    def _step(self, batches: Sequence[Batch]) -> float:
        """One optimizer step; the mean loss of its answer tokens, whatever batch they are in."""
        device, processes = self.accelerator.device, self.accelerator.num_processes
        tokens = self._sum(torch.tensor(sum(batch.tokens for batch in batches), device=device))
        total = torch.zeros((), device=device)
        self.model.train()
        for batch in batches:
            last = batch is batches[-1]
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = self._loss(batch)
                # Gradients are averaged over processes, where a sum is wanted.
                self.accelerator.backward(loss / tokens * processes)
                total += loss.detach()
        self.accelerator.clip_grad_norm_(self.model.parameters(), self._settings.max_grad_norm)
        self._optimizer.step()
        self._scheduler.step()
        self._optimizer.zero_grad()
        return float(self._sum(total) / tokens)

    def _loss(self, batch: Batch) -> torch.Tensor:
        """Sum of the cross-entropies of the batch's answer tokens."""
        inputs = {name: tensor.to(self.accelerator.device) for name, tensor in batch.inputs.items()}
        kept = batch.labels.shape[1] + 1
        if batch.prefix is not None:
            prefix = batch.prefix.to(self.accelerator.device)
            inputs["past_key_values"] = continued(self.model, prefix, len(batch.labels))
        logits = self.model(**inputs, logits_to_keep=kept, use_cache=batch.prefix is not None).logits[:, :-1]
        labels = batch.labels.to(logits.device)
        return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")

    def _sum(self, value: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = self.accelerator.reduce(value, "sum")
        return total

    def _note(self, history: History, step: int, **values: float) -> None:
        if self.accelerator.is_main_process:
            history.add(step, **values)

    def _save(self, step: int) -> None:
        """A checkpoint is written beside its place and moved there whole; the one before it goes afterwards."""
        folder = self._folder / CHECKPOINTS
        partial = folder / "partial"
        self.accelerator.save_state(str(partial))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            partial.rename(folder / f"step-{step:07d}")
            for old in _checkpoints(folder)[:-1]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def _restore(self) -> int:
        """The step of the last checkpoint, whose state is loaded; 0 where there is none."""
        folder = self._folder / CHECKPOINTS
        if self.accelerator.is_main_process:
            shutil.rmtree(folder / "partial", ignore_errors=True)
        self.accelerator.wait_for_everyone()
        found = _checkpoints(folder)
        if not found:
            return 0
        # What is frozen is not in it.
        strict = {} if self.accelerator.distributed_type in _SHARDED else {"strict": False}
        self.accelerator.load_state(str(found[-1]), **strict)
        return int(found[-1].name.removeprefix("step-"))


def total_steps(rows: int, group: int, settings: TuneSettings) -> int:
    """Optimizer steps of the whole tuning; `group` conversations each."""
    steps = math.ceil(settings.epochs * rows / group)
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _without_frozen(models: Sequence[Any], weights: list[dict[str, torch.Tensor]], folder: str) -> None:
    """Takes out of a checkpoint what comes with the model anyway."""
    for model, state in zip(models, weights, strict=False):
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                state.pop(name, None)
