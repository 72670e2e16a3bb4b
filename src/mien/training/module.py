"""The Lightning module: one training step, averaged weights, optimiser and schedule."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import lightning
import torch
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from mien.training.data.augment import augment, normalize_tensor
from mien.training.data.mixing import mix_batch
from mien.training.distributed.processes import add_up, average_statistics, count_processes
from mien.training.optim.averaging import ema_update
from mien.training.optim.losses import ExpressionLoss
from mien.training.optim.optimizers import make_optimizer, make_schedule, parameter_groups, warm_up
from mien.training.stages import UnfreezeSchedule

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRScheduler
    from torch import Tensor, nn

    from mien.preprocess import Preprocessing
    from mien.training.config import TrainConfig
    from mien.training.distillation import Teachers

Batch = tuple["Tensor", "Tensor", "Tensor"]


class ExpressionModule(lightning.LightningModule):
    """Trains a network on target distributions and keeps a moving average of its weights.

    Args:
        network: Maps (N, C, S, S) to logits (N, K).
        config: The recipe.
        preprocessing: The normalisation of the network's input.
        steps_per_epoch: Batches per epoch, for the schedule.
        counts: float (K,), faces of each class in training, for what makes up for rare ones.
        faces_per_epoch: Faces in training, where several processes share them.
        teachers: Networks to learn from in addition to the targets; they stay out of checkpoints.

    Raises:
        ConfigError: If the recipe names a loss or a layer that is not there.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        preprocessing: Preprocessing,
        *,
        steps_per_epoch: int,
        counts: Tensor | None = None,
        faces_per_epoch: int = 0,
        teachers: Teachers | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.preprocessing = preprocessing
        self.steps_per_epoch = steps_per_epoch
        self.faces_per_epoch = faces_per_epoch
        self.loss = ExpressionLoss(config, counts)
        # In a list, so that neither checkpoints nor other processes take their weights for ours.
        self._teachers = [teachers] if teachers is not None else []
        self.unfreezing = UnfreezeSchedule(network, config)
        self.average = AveragedModel(
            network, multi_avg_fn=partial(ema_update, decay=config.ema_decay), use_buffers=True
        )
        self.average.requires_grad_(requires_grad=False)
        self._random = torch.Generator()
        self._totals: dict[str, list[Tensor]] = {}

    @property
    def deployed(self) -> nn.Module:
        """The network whose weights are kept: the averaged one, unless averaging is off."""
        averaged: nn.Module = self.average.module
        return averaged if self.config.ema_decay else self.network

    def on_fit_start(self) -> None:
        """Brings the teachers to the device of the training."""
        for teachers in self._teachers:
            teachers.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Makes the augmentation of an epoch depend on the seed and its number alone.

        Processes that train together change and mix their faces differently. Freezes and frees
        layers too, by the number of the epoch.
        """
        self.unfreezing.apply(self.current_epoch)
        self._random = torch.Generator(device=self.device)
        epoch = self.current_epoch + 1 + self.global_rank * 15_485_863
        self._random.manual_seed(self.config.seed * 1_000_003 + epoch)
        torch.manual_seed(self.config.seed * 1_000_033 + epoch)
        self._totals = {}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Augments, mixes and returns the loss against the target distribution.

        Where processes share a batch, the mean of their losses is that over its faces.
        """
        faces, targets, _ = batch
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            x = augment(faces.float(), self.config, self._random)
            x = normalize_tensor(x, self.preprocessing)
            if self.current_epoch < self.config.epochs * (1 - self.config.mixup_off):
                x, targets = mix_batch(x, targets, self.config, self._random)
            if self.config.label_smoothing:
                targets = targets.lerp(
                    torch.full_like(targets, 1 / targets.shape[1]), self.config.label_smoothing
                )
            x = x.contiguous(memory_format=torch.channels_last)
        logits = self.network(self._smaller(x)).float()
        loss: Tensor = self.loss(logits, targets)
        for teachers in self._teachers:
            loss = loss.lerp(teachers.loss(logits, teachers(x)), self.config.distill_weight)
        loss = loss * self._share(len(faces), batch_index)
        self._add("train_loss", loss.detach())
        return loss

    def _smaller(self, x: Tensor) -> Tensor:
        """Maps inputs (N, C, S, S) to those of the first epochs, which cost less."""
        side, epochs = self.config.first_size, self.config.epochs * self.config.first_share
        if not side or self.current_epoch >= epochs:
            return x
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            small = functional.interpolate(x, size=side, mode="bilinear", antialias=True)
            return small.contiguous(memory_format=torch.channels_last)

    def _share(self, own: int, batch_index: int) -> float:
        """Returns how many times the mean part of a batch this process has: 1 if it is alone."""
        world = count_processes()
        if world == 1:
            return 1.0
        left = self.faces_per_epoch - batch_index * self.config.batch_size
        return own * world / min(self.config.batch_size, left)

    def on_train_batch_end(self, *_: Any) -> None:
        """Updates the averaged weights after each step."""
        average_statistics(self.network)
        if self.config.ema_decay:
            self.average.update_parameters(self.network)

    def validation_step(self, batch: Batch, _batch_index: int) -> None:
        """Scores one batch with the weights that will be kept, in full precision."""
        faces, targets, class_ids = batch
        if not len(faces):
            return  # the last batch had none left for this process
        with torch.autocast(self.device.type, enabled=False):
            x = normalize_tensor(faces.float(), self.preprocessing)
            logits = self.deployed(x.contiguous(memory_format=torch.channels_last))
        known = class_ids >= 0
        self._add("valid_loss", functional.cross_entropy(logits, targets), len(faces))
        hits = (logits.argmax(1)[known] == class_ids[known]).float()
        if len(hits):
            self._add("valid_accuracy", hits.mean(), len(hits))

    def on_validation_epoch_end(self) -> None:
        """Logs the means over the epoch's training steps and over all validation faces."""
        for name in ("train_loss", "valid_loss", "valid_accuracy"):
            mean = self._mean(name)
            if mean is not None:
                self.log(name, mean, prog_bar=True)

    def _add(self, name: str, value: Tensor, weight: int = 1) -> None:
        total = self._totals.setdefault(name, [torch.zeros((), device=value.device) for _ in "vw"])
        total[0] += value * weight
        total[1] += weight

    def _mean(self, name: str) -> float | None:
        """Returns a mean over all processes, each face counted once; None if there is none."""
        none = [torch.zeros((), device=self.device) for _ in "vw"]
        value, weight = add_up(torch.stack(self._totals.pop(name, none))).tolist()
        return float(value / weight) if weight else None

    def on_train_batch_start(self, *_: Any) -> None:
        """Warms up where the schedule cannot do it itself."""
        if self.config.schedule == "plateau":
            optimizer = self.trainer.optimizers[0]
            warm_up(optimizer, self.config, self.global_step, self.steps_per_epoch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Returns the recipe's optimiser and schedule."""
        parameters = dict(self.network.named_parameters())
        stages = [[parameters[name] for name in stage] for stage in self.unfreezing.stages]
        optimizer = make_optimizer(parameter_groups(stages, self.config), self.config)
        return [optimizer], make_schedule(optimizer, self.config, self.steps_per_epoch)
