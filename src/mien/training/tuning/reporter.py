"""Tells a trial how its training goes, after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback
from optuna import TrialPruned

from mien.errors import DataError
from mien.metrics import macro_f1

if TYPE_CHECKING:
    import lightning
    from optuna.trial import Trial
    from torch import Tensor


class TrialReporter(Callback):
    """Reports a metric of the validation faces after each epoch; a hopeless trial ends.

    Args:
        trial: The trial.
        metric: ``accuracy``, ``macro_f1`` or ``valid_loss``.
    """

    def __init__(self, trial: Trial, metric: str) -> None:
        self.trial, self.metric = trial, metric
        self.values: list[float] = []
        self.accuracies: list[float] = []
        self._logits: list[Tensor] = []
        self._class_ids: list[Tensor] = []
        self._hook: Any = None

    @property
    def value(self) -> float:
        """The metric in the epoch whose weights the run keeps: the most accurate one.

        Raises:
            DataError: If it is no number.
        """
        value = self.values[self.accuracies.index(max(self.accuracies))]
        if value != value:  # noqa: PLR0124 - what a NaN is not
            raise DataError("is no number in the end: narrow the space", subject=self.metric)
        return value

    def on_validation_start(self, _trainer: lightning.Trainer, module: Any) -> None:
        """Listens to the logits of the network that is kept, for scores by class."""
        self._logits, self._class_ids = [], []
        if self.metric == "macro_f1":
            self._hook = module.deployed.register_forward_hook(self._listen)

    def _listen(self, _network: Any, _inputs: Any, logits: Tensor) -> None:
        self._logits.append(logits.detach())

    def on_validation_batch_end(
        self, _trainer: Any, _module: Any, _outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keeps the classes of the batch."""
        self._class_ids.append(batch[2])

    def on_validation_end(self, *_: Any) -> None:
        """Stops listening."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def on_train_epoch_end(self, trainer: lightning.Trainer, _module: Any) -> None:
        """Reports the epoch.

        Raises:
            TrialPruned: If the study gives the trial up.
        """
        known = trainer.callback_metrics
        self.accuracies.append(float(known["valid_accuracy"]))
        self.values.append(self._score(known))
        self.trial.report(self.values[-1], step=trainer.current_epoch + 1)
        if self.trial.should_prune():
            raise TrialPruned(f"given up after epoch {trainer.current_epoch + 1}")

    def _score(self, known: dict[str, Any]) -> float:
        if self.metric == "macro_f1":
            logits, true = torch.cat(self._logits), torch.cat(self._class_ids)
            predicted = logits.argmax(1).cpu().numpy()
            return macro_f1(true.cpu().numpy(), predicted, logits.shape[1])
        return float(known["valid_accuracy" if self.metric == "accuracy" else self.metric])
