"""What a run leaves on disk while it goes: checkpoints that survive a kill, and metrics.csv."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from mien.atomic import is_full, write_text
from mien.config import load_object
from mien.errors import ConfigError, DataError, ModelError
from mien.training.config import split_names
from mien.training.directory import CHECKPOINTS, csv_text
from mien.training.hooks import Callback
from mien.training.loop import save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mien.training.config import TrainConfig
    from mien.training.loop import Trainer
    from mien.training.module import ExpressionModule

#: Validation loss above which a training has diverged; that of chance is the log of K.
_MAX_LOSS = 1e6


#: What PyTorch says where memory is not to be had, on CPU, CUDA and Apple's GPUs.
_OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed",
)  # fmt: skip


@contextmanager
def naming_full_disk(output: Path) -> Iterator[None]:
    """Turns the failure to write into an error that says what is left of the run in ``output``."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise ModelError(
            f"cannot be written to: {error.strerror}",
            subject=output,
            hint="The run stands as of its last finished epoch: make room, then go on with "
            "--resume.",
        ) from error


def is_full_memory(error: Exception) -> bool:
    """Says whether an error tells that memory could not be had, on whatever device."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(word in said for word in _OUT_OF_MEMORY)


@contextmanager
def naming_full_memory(config: TrainConfig) -> Iterator[None]:
    """Turns the failure to allocate memory into an error that says which settings take less."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_full_memory(error):
            raise
        side = config.size or "the network's own"
        raise ModelError(
            f"needs more memory than there is with a batch_size of {config.batch_size}",
            subject="the training",
            hint=f"Start anew with --batch-size {max(config.batch_size // 2, 2)}, or less; then a "
            f"smaller --size (now {side}), or a smaller --model (now {config.model}).",
        ) from error


class MetricsFile(Callback):
    """Writes one row an epoch to ``metrics.csv``; the rows travel in the checkpoint.

    After the usual columns come those that the module names as ``more_columns``.
    """

    COLUMNS = (
        "epoch", "train_loss", "valid_loss", "valid_accuracy", "lr", "seconds", "faces_per_s",
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._start = self._seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Returns the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the rows of the run that is resumed."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, *_: Any) -> None:
        """Starts the clock of an epoch."""
        self._start = time.perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        """Stops the clock: validation is not training time."""
        self._seconds = time.perf_counter() - self._start

    def on_train_epoch_end(self, trainer: Trainer, module: ExpressionModule) -> None:
        """Adds the row of the epoch and writes the file."""
        known, more = trainer.callback_metrics, module.more_columns
        faces = module.steps_per_epoch * module.config.batch_size
        row = {
            "epoch": trainer.current_epoch + 1,
            **{name: float(known[name]) for name in self.COLUMNS if name in known},
            "lr": max(float(g["lr"]) for g in trainer.optimizers[0].param_groups),
            "seconds": round(self._seconds, 2),
            "faces_per_s": round(float(faces) / max(self._seconds, 1e-9), 1),
            **{name: float(known[name]) for name in more if name in known},
        }
        self.rows.append(row)
        columns = (*self.COLUMNS, *more)
        rows = [[row.get(name, "") for name in columns] for row in self.rows]
        write_text(self.path, csv_text(columns, rows))


class BestEpoch(Callback):
    """Keeps checkpoints of the best and of the last epoch; ends a run that gets no better.

    Args:
        output: The run directory.
        monitor: Score that tells which epoch is best, of ``callback_metrics``.
        lowest: Whether a low score is a good one.
        patience: Ends the run after so many epochs in a row that are not better; 0: never.
        writes: Whether this process is the one that writes.
    """

    def __init__(
        self, output: Path, monitor: str, *, lowest: bool, patience: int, writes: bool
    ) -> None:
        self.folder, self.monitor, self.sign = output / CHECKPOINTS, monitor, -1 if lowest else 1
        self.patience, self.writes = patience, writes
        self.best: float | None = None
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Returns the best score so far and how many epochs are none."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the state of the run that is resumed."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Does not go on with a run that had ended."""
        self._stop(trainer)

    def on_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        """Compares the epoch with the best one and writes the checkpoints."""
        known = trainer.callback_metrics
        if self.monitor not in known:
            raise DataError(
                f"cannot choose the epoch: the validation faces give {', '.join(known)}",
                subject=self.monitor,
                hint="Give another --monitor.",
            )
        score = known[self.monitor]
        is_best = self.best is None or self.sign * score > self.sign * self.best
        self.best, self.waited = (score, 0) if is_best else (self.best, self.waited + 1)
        self._stop(trainer)
        if self.writes:
            checkpoint = trainer.checkpoint()
            for name in ("best", "last") if is_best else ("last",):
                save_checkpoint(checkpoint, self.folder / f"{name}.ckpt")

    def _stop(self, trainer: Trainer) -> None:
        trainer.should_stop |= bool(self.patience) and self.waited >= self.patience


class StopOnNaN(Callback):
    """Ends a run that diverged, before it overwrites a good checkpoint."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Looks at the loss of every 20th step."""
        if trainer.global_step % 20 and not trainer.is_last_batch:
            return
        if not bool(torch.isfinite(outputs["loss"])):
            raise _diverged(float(outputs["loss"]), trainer, pl_module.config)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Looks at the loss of the weights that are kept."""
        loss = float(trainer.callback_metrics.get("valid_loss", 0.0))
        if not loss < _MAX_LOSS:
            raise _diverged(loss, trainer, pl_module.config)


def _diverged(loss: float, trainer: Trainer, config: TrainConfig) -> DataError:
    usual = 0.1 if config.optimizer in {"sgd", "momentum"} else 0.001
    return DataError(
        f"the training diverged: the loss became {loss:.3g} in epoch {trainer.current_epoch + 1}, "
        f"with lr {config.lr:g}",
        hint=f"Take a lower lr (--lr {min(usual, config.lr / 10):g} --overwrite), or check the "
        "data. The last good checkpoint is kept.",
    )


def load_callbacks(names: str) -> list[Any]:
    """Builds callbacks, each without arguments, from ``module:Class,module:Class``."""
    made = []
    for name in split_names(names):
        build = load_object(name, "callbacks")
        if not (isinstance(build, type) and any(word.startswith("on_") for word in dir(build))):
            raise ConfigError(
                f"callbacks {name!r} is no class with hooks of a training: derive it from "
                "mien.training.Callback."
            )
        try:
            made.append(build())
        except TypeError as error:
            reason = f"callbacks {name!r} is built without arguments, and that fails: {error}."
            raise ConfigError(reason) from error
    return made
