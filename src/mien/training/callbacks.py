"""What a run leaves on disk while it goes: checkpoints that survive a kill, and metrics.csv."""

from __future__ import annotations

import io
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mien.atomic import is_full, replacing, write_text
from mien.config import load_object
from mien.errors import ConfigError, DataError, ModelError
from mien.training.config import split_names
from mien.training.directory import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lightning


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name and renames it: a kill leaves the old one."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: Any,
        storage_options: Any | None = None,  # noqa: ARG002 - for remote file systems
    ) -> None:
        """Saves ``checkpoint`` to the local file ``path``, whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        # Written here, since torch hides why the disk refuses what it writes itself.
        with replacing(target) as temporary:
            temporary.write_bytes(buffer.getbuffer())


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


class MetricsFile(Callback):
    """Writes one row an epoch to ``metrics.csv``; the rows travel in the checkpoint.

    After the usual columns come those that the module names as ``more_columns``.

    ``echo`` prints a line an epoch to stderr too, for logs without a progress bar.
    """

    COLUMNS = (
        "epoch", "train_loss", "valid_loss", "valid_accuracy", "lr", "seconds", "faces_per_s",
    )  # fmt: skip

    def __init__(self, path: Path, *, echo: bool) -> None:
        self.path, self.echo = path, echo
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

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Adds the row of the epoch and writes the file."""
        known = trainer.callback_metrics
        more = getattr(pl_module, "more_columns", ())
        faces = pl_module.steps_per_epoch * pl_module.config.batch_size  # type: ignore[union-attr,operator]
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
        if self.echo:
            shown = "  ".join(f"{name} {value:.5g}" for name, value in row.items())
            print(f"{shown}  of {trainer.max_epochs} epochs", file=sys.stderr, flush=True)  # noqa: T201


class StopOnNaN(Callback):
    """Ends a run whose loss is no longer a number, before it overwrites a good checkpoint."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, _module: Any, outputs: Any, *_: Any
    ) -> None:
        """Looks at the loss of every 20th step."""
        if trainer.global_step % 20 and not trainer.is_last_batch:
            return
        if not bool(torch.isfinite(outputs["loss"])):
            raise DataError(
                f"the loss became {float(outputs['loss'])} in epoch {trainer.current_epoch + 1}: "
                "lower lr or check the data",
                hint="The last good checkpoint is kept.",
            )


def load_callbacks(names: str) -> list[Any]:
    """Builds Lightning callbacks, each without arguments, from ``module:Class,module:Class``."""
    made = []
    for name in split_names(names):
        build = load_object(name, "callbacks")
        if not (isinstance(build, type) and issubclass(build, Callback)):
            raise ConfigError(
                f"callbacks {name!r} is no class of Lightning callbacks: derive it from "
                "lightning.pytorch.Callback."
            )
        try:
            made.append(build())
        except TypeError as error:
            reason = f"callbacks {name!r} is built without arguments, and that fails: {error}."
            raise ConfigError(reason) from error
    return made
