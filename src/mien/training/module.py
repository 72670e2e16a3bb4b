"""The module that is trained: one training step, averaged weights, optimiser and schedule."""

from __future__ import annotations

import math
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from mien.metrics import confusion_f1
from mien.models.layers import normalize_tensor
from mien.training.data.augment import augment, mix_batch
from mien.training.distributed.processes import add_up, average_statistics, count_processes
from mien.training.optim.losses import ExpressionLoss
from mien.training.optim.optimizers import make_optimizer, make_schedule, parameter_groups, warm_up
from mien.training.stages import UnfreezeSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from mien.labels import LabelSchema
    from mien.preprocess import Preprocessing
    from mien.training.config import TrainConfig
    from mien.training.data.faces import FaceTensors
    from mien.training.distillation import Teachers
    from mien.training.loop import Trainer

#: Faces, targets, class ids and, where there are several, numbers of datasets.
Batch = tuple["Tensor", ...]
#: Scores of training faces without augmentation.
_CLEAN = ("train_clean_loss", "train_clean_accuracy")


def _ema_update(
    kept: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int, *, decay: float
) -> None:
    """Moves averages towards new values, in place: the ``multi_avg_fn`` of an ``AveragedModel``.

    ``decay`` is the share of an average that stays; less at first, so that a random start is
    forgotten in a few hundred steps. Whole numbers, counters of batch norms, are copied.
    """
    now = min(decay, (1 + int(count)) / (10 + int(count)))
    for old, value in zip(kept, new, strict=True):
        if old.is_floating_point():
            old.lerp_(value.to(old.dtype), 1 - now)
        else:
            old.copy_(value)


class ExpressionModule(nn.Module):
    """Trains a network on target distributions and keeps a moving average of its weights.

    ``counts`` (K,) are the faces of each class in training, for what makes up for rare ones;
    or (S, K) where logits are adjusted by dataset; ``faces_per_epoch`` is given where several
    processes share them. Of datasets with ``names`` each is validated by itself; ``schema`` has
    the labels of the classes. Teachers, to learn from besides the targets, stay out of
    checkpoints. A ``sample`` of the training faces is scored as validation faces are, so that the
    curves of both can be compared.
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
        names: Sequence[str] = (),
        schema: LabelSchema | None = None,
        teachers: Teachers | None = None,
        sample: FaceTensors | None = None,
    ) -> None:
        super().__init__()
        self.network, self.config, self.preprocessing = network, config, preprocessing
        self.steps_per_epoch, self.faces_per_epoch = steps_per_epoch, faces_per_epoch
        self.loss = ExpressionLoss(config, counts, schema)
        self.sample = sample
        self.names, self.num_classes = names, 0 if counts is None else counts.shape[-1]
        # In a list, so that neither checkpoints nor other processes take their weights for ours.
        self._teachers = [teachers] if teachers is not None else []
        self.unfreezing = UnfreezeSchedule(network, config)
        self.average = AveragedModel(
            network, multi_avg_fn=partial(_ema_update, decay=config.ema_decay), use_buffers=True
        )
        self.average.requires_grad_(requires_grad=False)
        self._random = torch.Generator()
        self._totals: dict[str, Tensor] = {}
        # In a list, too: its weights are those of the network.
        self._shared: list[nn.Module] = []
        self._trainer: Trainer | None = None

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.network.parameters()).device

    @property
    def current_epoch(self) -> int:
        """Number of the running epoch, 0 first."""
        return self._trainer.current_epoch if self._trainer else 0

    @property
    def trainer(self) -> Trainer:
        """What trains it."""
        if self._trainer is None:
            raise RuntimeError("no trainer trains this module yet")
        return self._trainer

    def attach(self, trainer: Trainer) -> None:
        """Says what trains it."""
        self._trainer = trainer

    def distribute(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        """Trains from now on what ``wrap`` makes of the network for several processes."""
        self._shared = [wrap(self.network)]

    def log(self, name: str, value: float) -> None:
        """Tells a score of the running epoch to callbacks and logger."""
        self.trainer.callback_metrics[name] = float(value)

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
        """Freezes layers and seeds what is drawn, by the number of epoch and process alone."""
        self.unfreezing.apply(self.current_epoch)
        self._random = torch.Generator(device=self.device)
        epoch = self.current_epoch + 1 + self.trainer.global_rank * 15_485_863
        self._random.manual_seed(self.config.seed * 1_000_003 + epoch)
        torch.manual_seed(self.config.seed * 1_000_033 + epoch)
        self._totals = {}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Augments, mixes and returns the loss against the target distribution.

        Where processes share a batch, the mean of their losses is that over its faces.
        """
        faces, targets, _, *numbers = batch
        count, sources = targets.shape[1], None
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            x = augment(faces.float(), self.config, self._random)
            x = normalize_tensor(x, self.preprocessing)
            if self.loss.by_source:
                shares = functional.one_hot(numbers[0], len(self.names)).to(targets)
                targets = torch.cat([targets, shares], dim=1)
            if self.current_epoch < self.config.epochs * (1 - self.config.mixup_off):
                x, targets = mix_batch(x, targets, self.config, self._random)
            if self.loss.by_source:
                targets, sources = targets[:, :count], targets[:, count:]
            if self.config.label_smoothing:
                targets = targets.lerp(
                    torch.full_like(targets, 1 / targets.shape[1]), self.config.label_smoothing
                )
            x = x.contiguous(memory_format=torch.channels_last)
        network = self._shared[0] if self._shared else self.network
        logits = network(self._smaller(x)).float()
        loss: Tensor = self.loss(logits, targets, sources)
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

    def validation_step(self, batch: Batch, _batch_index: int) -> Tensor | None:
        """Scores one batch with the weights that will be kept, in full precision: logits (N, K)."""
        faces, targets, class_ids, *numbers = batch
        if not len(faces):
            return None  # the last batch had none left for this process
        logits = self._answer(faces)
        known = class_ids >= 0
        self._add("valid_loss", functional.cross_entropy(logits, targets), len(faces))
        hits = (logits.argmax(1)[known] == class_ids[known]).float()
        if len(hits):
            self._add("valid_accuracy", hits.mean(), len(hits))
        if self._scores:
            sources = numbers[0][known] if numbers else torch.zeros_like(class_ids[known])
            cells = (sources * self.num_classes + class_ids[known]) * self.num_classes
            size = max(len(self.names), 1) * self.num_classes**2
            found = torch.bincount(cells + logits.argmax(1)[known], minlength=size)
            self._totals["confusion"] = self._totals.get("confusion", 0) + found
        return logits

    def _answer(self, faces: Tensor) -> Tensor:
        """Maps faces on 0..255 to the logits of the weights that will be kept."""
        with torch.autocast(self.device.type, enabled=False):
            x = normalize_tensor(faces.float(), self.preprocessing)
            logits: Tensor = self.deployed(x.contiguous(memory_format=torch.channels_last))
        return logits

    def _log_sample(self, sample: FaceTensors) -> None:
        """Scores the sample of the training faces, without augmentation."""
        sums, known = torch.zeros(2), sample.class_ids >= 0
        for start in range(0, len(sample), 256):
            part = slice(start, start + 256)
            logits = self._answer(sample.faces[part].to(self.device)).cpu()
            right = (logits.argmax(1) == sample.class_ids[part])[known[part]]
            loss = functional.cross_entropy(logits, sample.targets[part], reduction="sum")
            sums += torch.stack([loss, right.sum().to(loss)])
        scores = sums / torch.stack([torch.tensor(len(sample)), known.sum().clamp(min=1)])
        for name, score in zip(_CLEAN, scores.tolist(), strict=True):
            self.log(name, score)

    @property
    def more_columns(self) -> tuple[str, ...]:
        """What the validation measures besides loss and accuracy."""
        clean = _CLEAN if self.sample is not None else ()
        return (*self._scores, *clean)

    @property
    def _scores(self) -> tuple[str, ...]:
        if not self.names:
            return ("valid_macro_f1",) if self.num_classes else ()
        scores = ("accuracy", "macro_f1")
        each = [f"valid_{score}/{name}" for name in self.names for score in scores]
        return ("valid_macro_f1", *each, *(f"valid_mean_{score}" for score in scores))

    def _log_by_source(self) -> None:
        """Logs the macro-F1 of all faces, the scores of each dataset, and their means."""
        shape = max(len(self.names), 1), self.num_classes, self.num_classes
        empty = torch.zeros(math.prod(shape), dtype=torch.int64, device=self.device)
        tables = add_up(self._totals.pop("confusion", empty)).view(shape).cpu().numpy()
        self.log("valid_macro_f1", confusion_f1(tables.sum(axis=0)))
        scored = [(n, t) for n, t in zip(self.names, tables, strict=False) if t.sum()]
        found = {
            "accuracy": {name: float(table.trace() / table.sum()) for name, table in scored},
            "macro_f1": {name: confusion_f1(table) for name, table in scored},
        }
        for score, values in found.items() if scored else ():
            self.log(f"valid_mean_{score}", fmean(values.values()))
            for name, value in values.items():
                self.log(f"valid_{score}/{name}", value)

    def on_validation_epoch_end(self) -> None:
        """Logs the means over all processes of the epoch's training steps and validation faces."""
        for name in ("train_loss", "valid_loss", "valid_accuracy"):
            total = self._totals.pop(name, torch.zeros(2, device=self.device))
            value, weight = add_up(total).tolist()
            if weight:
                self.log(name, value / weight)
        if self._scores:
            self._log_by_source()
        if self.sample is not None:
            self._log_sample(self.sample)

    def _add(self, name: str, value: Tensor, weight: int = 1) -> None:
        pair = torch.stack([value, torch.ones_like(value)]) * weight
        self._totals[name] = self._totals[name] + pair if name in self._totals else pair

    def on_train_batch_start(self, *_: Any) -> None:
        """Warms up where the schedule cannot do it itself."""
        if self.config.schedule == "plateau":
            optimizer = self.trainer.optimizers[0]
            warm_up(optimizer, self.config, self.trainer.global_step, self.steps_per_epoch)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[dict[str, Any]]]:
        """Returns the recipe's optimiser and schedule, see :func:`make_schedule`."""
        parameters = dict(self.network.named_parameters())
        stages = [[parameters[name] for name in stage] for stage in self.unfreezing.stages]
        optimizer = make_optimizer(parameter_groups(stages, self.config), self.config)
        return [optimizer], make_schedule(optimizer, self.config, self.steps_per_epoch)
