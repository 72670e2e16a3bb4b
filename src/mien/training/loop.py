"""The training loop: epochs of steps, a validation after each, and hooks around them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from mien.atomic import replacing
from mien.training.distributed.processes import SINGLE, DistInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import nn

    from mien.training.module import Batch, ExpressionModule

__all__ = ["Trainer", "save_checkpoint"]


class Trainer:
    """Trains a module for some epochs and validates it after each.

    Args:
        max_epochs: Epochs in all, those before a resumed checkpoint included.
        device: Where the module and its batches lie.
        autocast: Makes the context of precision that steps run in.
        callbacks: Objects with hooks, see :class:`mien.training.Callback`; called in this order,
            after the module.
        logger: Gets the scores of each epoch, with the interface of Lightning's loggers.
        dist: This process among those that train together.
        find_unused: Say to the processes that some parameters may get no gradient.

    Attributes:
        current_epoch: Number of the running epoch, 0 first.
        global_step: Steps done.
        callback_metrics: Every score that the epoch has so far, by name.
        should_stop: A callback that sets it ends the training after this epoch.
        optimizers: Those of the module.
        num_training_batches: Steps of an epoch.
    """

    def __init__(
        self,
        max_epochs: int,
        device: torch.device,
        autocast: Callable[[], AbstractContextManager[Any]],
        *,
        callbacks: Sequence[Any] = (),
        logger: Any = None,
        dist: DistInfo = SINGLE,
        find_unused: bool = False,
    ) -> None:
        self.max_epochs, self.device, self.autocast = max_epochs, device, autocast
        self.callbacks, self.logger, self.dist = list(callbacks), logger, dist
        self.find_unused = find_unused
        self.current_epoch = self.global_step = self.num_training_batches = 0
        self.should_stop = self.is_last_batch = False
        self.callback_metrics: dict[str, float] = {}
        self.optimizers: list[torch.optim.Optimizer] = []
        self._schedules: list[dict[str, Any]] = []
        self.module: ExpressionModule

    @property
    def global_rank(self) -> int:
        """Number of this process among those that train together."""
        return self.dist.rank

    def fit(
        self,
        module: ExpressionModule,
        loader: Any,
        valid_loader: Any,
        checkpoint: Path | None = None,
    ) -> None:
        """Trains until the last epoch, or until a callback stops it.

        Args:
            module: What is trained.
            loader: Batches of an epoch; one with a ``sampler`` is told the number of each epoch.
            valid_loader: Batches of the validation.
            checkpoint: A file that :meth:`checkpoint` made, to go on from.
        """
        self.module = module
        module.attach(self)
        module.to(self.device)
        self.optimizers, self._schedules = module.configure_optimizers()
        if checkpoint is not None:
            self._restore(checkpoint)
        if self.dist.world_size > 1:
            module.distribute(self._wrap)
        self.num_training_batches = len(loader)
        ended = "failed"
        try:
            self._call("on_fit_start")
            self._call("on_train_start")
            while self.current_epoch < self.max_epochs and not self.should_stop:
                self._train_epoch(loader)
                self._validate(valid_loader)
                self._end_epoch()
            self._call("on_train_end")
            self._call("on_fit_end")
            ended = "success"
        except BaseException as error:
            self._call("on_exception", error)
            raise
        finally:
            if self.logger is not None:
                self.logger.finalize(ended)

    def checkpoint(self) -> dict[str, Any]:
        """Returns all that a resumed run needs, as of the end of this epoch."""
        states = [
            [name, callback.state_dict()]
            for name, callback in self._named_callbacks()
            if hasattr(callback, "state_dict")
        ]
        return {
            "state_dict": self.module.state_dict(),
            "epoch": self.current_epoch,
            "global_step": self.global_step,
            "optimizers": [each.state_dict() for each in self.optimizers],
            "schedules": [each["scheduler"].state_dict() for each in self._schedules],
            "callbacks": dict(states),
        }

    def _restore(self, path: Path) -> None:
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.module.load_state_dict(saved["state_dict"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        for schedule, state in zip(self._schedules, saved["schedules"], strict=True):
            schedule["scheduler"].load_state_dict(state)
        self.current_epoch, self.global_step = saved["epoch"] + 1, saved["global_step"]
        for name, callback in self._named_callbacks():
            if name in saved["callbacks"] and hasattr(callback, "load_state_dict"):
                callback.load_state_dict(saved["callbacks"][name])

    def _named_callbacks(self) -> Iterator[tuple[str, Any]]:
        """Yields callbacks by their class; of those of one class, which comes first is told."""
        seen: dict[str, int] = {}
        for callback in self.callbacks:
            name = type(callback).__qualname__
            seen[name] = seen.get(name, 0) + 1
            yield (name if seen[name] == 1 else f"{name}.{seen[name]}"), callback

    def _wrap(self, network: nn.Module) -> nn.Module:
        # Running statistics are averaged instead, and layers may be frozen for a while.
        return DistributedDataParallel(
            network,
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=self.find_unused,
        )

    def _call(self, hook: str, *arguments: Any) -> None:
        own = getattr(self.module, hook, None)
        if own is not None:
            own(*arguments)
        for callback in self.callbacks:
            called = getattr(callback, hook, None)
            if called is not None:
                called(self, self.module, *arguments)

    def _batches(self, loader: Any) -> Iterator[tuple[int, Batch]]:
        for number, batch in enumerate(loader):
            yield number, tuple(part.to(self.device, non_blocking=True) for part in batch)

    def _train_epoch(self, loader: Any) -> None:
        self.callback_metrics = {}
        loader.sampler.set_epoch(self.current_epoch)
        self.module.train()
        self._call("on_train_epoch_start")
        for number, batch in self._batches(loader):
            self.is_last_batch = number + 1 == self.num_training_batches
            self._call("on_train_batch_start", batch, number)
            loss = self._step(batch, number)
            self._call("on_train_batch_end", {"loss": loss}, batch, number)

    def _step(self, batch: Batch, number: int) -> torch.Tensor:
        """Takes one step of each optimiser; returns the loss before it."""
        losses: list[torch.Tensor] = []

        def closure() -> Any:
            optimizer.zero_grad()
            with self.autocast():
                loss = self.module.training_step(batch, number)
            loss.backward()
            losses.append(loss.detach())
            return loss

        for optimizer in self.optimizers:
            optimizer.step(closure)
        self.global_step += 1
        for schedule in self._schedules:
            if schedule["interval"] == "step":
                schedule["scheduler"].step()
        return losses[0]

    def _validate(self, loader: Any) -> None:
        modes = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        with torch.inference_mode(), self.autocast():
            self._call("on_validation_start")
            for number, batch in self._batches(loader):
                logits = self.module.validation_step(batch, number)
                self._call("on_validation_batch_end", logits, batch, number)
            self._call("on_validation_epoch_end")
        for part, training in modes:
            part.training = training

    def _end_epoch(self) -> None:
        self._call("on_train_epoch_end")
        for schedule in self._schedules:
            if schedule["interval"] == "epoch":
                schedule["scheduler"].step(self.callback_metrics[schedule["monitor"]])
        if self.logger is not None:
            rate = max(float(group["lr"]) for group in self.optimizers[0].param_groups)
            scores = {**self.callback_metrics, "lr": rate}
            self.logger.log_metrics(scores, step=self.current_epoch + 1)
        self._call("on_epoch_end")
        self.current_epoch += 1


def save_checkpoint(checkpoint: dict[str, Any], target: Path) -> None:
    """Saves a checkpoint, whole or not at all: a kill leaves the old one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    # Written here, since torch hides why the disk refuses what it writes itself.
    with replacing(target) as temporary:
        temporary.write_bytes(buffer.getbuffer())
