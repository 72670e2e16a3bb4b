"""What a training says: what it starts from, a line per epoch, and what came out."""

from __future__ import annotations

import base64
import importlib
import io
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import torch

from mien.data.balance import balance_remarks
from mien.data.joined import logs_remarks
from mien.data.sources import show_specs
from mien.models.registry import count_macs, count_parameters
from mien.reporting.text import counted
from mien.results.drawing import in_notebook
from mien.training.device import is_bf16, training_device
from mien.training.directory import best_epoch, plot_curves
from mien.training.hooks import Callback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mien.models import ModelSpec
    from mien.training.config import TrainConfig
    from mien.training.loop import Trainer
    from mien.training.module import ExpressionModule
    from mien.training.run import TrainingData

#: Seconds between two readings of the loss of the running epoch: each waits for the device.
_LOSS_EVERY_S = 0.5
_HEAD = f"{'epoch':>7} {'train':>6} {'valid':>6} {'acc':>7} {'F1':>5} {'lr':>7} {'time':>7}"
_HEAD += f" {'faces/s':>7} {'left':>8} {'best':>7}"


def describe_start(
    config: TrainConfig,
    spec: ModelSpec,
    data: TrainingData,
    module: ExpressionModule,
    output: Path,
    *,
    is_auto: bool = False,
) -> Iterator[str]:
    """Yields lines on data, network, training and run directory, for before the first epoch.

    ``is_auto`` tells that the batch size was chosen for the device.
    """
    yield f"data      {show_specs(config.data)}"
    for name, part in (("train", data.train), ("valid", data.valid)):
        counts = part.counts()[name]
        shown = ", ".join(f"{label} {count:,}" for label, count in counts.items() if count)
        yield f"          {name} {len(part):,}: {shown}"
    for line in data_remarks(data):
        yield f"          note: {line}"
    p, network = spec.preprocessing, module.network
    macs = count_macs(network, (p.channels, p.size, p.size)) / 1e6
    weights = f", from {config.weights}" if config.weights else ""
    yield (
        f"network   {config.model}: {count_parameters(network) / 1e6:.2f} M parameters, "
        f"{macs:.1f} MMACs, {p.size}x{p.size} {p.color}{weights}"
    )
    device = training_device(config)
    threads = counted(torch.get_num_threads(), "thread", "threads")
    where = threads if device.type == "cpu" else ""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else where
    numbers = "bfloat16" if is_bf16(config) else "float32"
    yield (
        f"training  {counted(config.epochs, 'epoch', 'epochs')} of "
        f"{counted(module.steps_per_epoch, 'step', 'steps')} of {config.batch_size} faces"
        f"{' (auto)' if is_auto else ''} on {device}{f' ({where})' if where else ''} in {numbers}"
    )
    yield f"          {_method(config)}"
    yield f"run       {output}"


def data_remarks(data: TrainingData) -> list[str]:
    """Returns what the reader remarked, unless that was logged, and what the counts tell."""
    counts = {**data.train.counts(), **data.valid.counts()}
    remarks = () if logs_remarks() else data.train.warnings
    return [*remarks, *(line for _, line in balance_remarks(counts))]


def _method(config: TrainConfig) -> str:
    balance = {
        f"class weights {config.class_weight}": config.class_weight != "none",
        "weighted sampler": config.sampler == "weighted",
        f"logit adjustment {config.logit_adjustment:g}": config.logit_adjustment > 0,
        f"teachers {config.teachers}": bool(config.teachers),
    }
    chosen = [config.loss, *(name for name, is_on in balance.items() if is_on)]
    warm_up = f"{config.warmup_epochs:g} epoch{'' if config.warmup_epochs == 1 else 's'}"
    return (
        f"{', '.join(chosen)}; {config.optimizer} at {config.lr:g}, {config.schedule} after "
        f"{warm_up} of warm-up; best epoch by {config.monitor}"
    )


def epoch_line(
    row: Mapping[str, float], epochs: int, monitor: str, best: float, *, is_best: bool, left: float
) -> str:
    """Returns the line of an epoch, at most 80 characters.

    Args:
        row: As in ``metrics.csv``.
        epochs: Epochs in all.
        monitor: What tells which epoch is best.
        best: The best score so far.
        is_best: Whether it is this epoch's.
        left: Seconds that the other epochs will take.
    """
    accuracy, f1 = (row.get(f"valid_{name}", float("nan")) for name in ("accuracy", "macro_f1"))
    number, seconds = f"{row['epoch']:.0f}/{epochs}", row["seconds"]
    shown = f"{best:.4g}" if "loss" in monitor or "f1" in monitor else f"{best * 100:.1f} %"
    return (
        f"{number:>7} {_loss(row['train_loss'])} {_loss(row['valid_loss'])} "
        f"{accuracy * 100:5.1f} % {f1:5.3f} {row['lr']:7.2g} {duration(seconds):>7} "
        f"{row['faces_per_s']:7,.0f} {duration(left):>8} {shown:>7}{'*' if is_best else ''}"
    )


def _loss(value: float) -> str:
    return f"{value:6.4f}"[:6]


def duration(seconds: float) -> str:
    """Returns a time in the two units that tell most.

    >>> duration(8.4), duration(75), duration(7322)
    ('8 s', '1:15', '2 h 02')
    """
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 1:
        return f"{whole} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02}" if hours else f"{minutes}:{rest:02}"


class EpochLines(Callback):
    """Prints a line per epoch to stderr; in a terminal with a bar for the epoch that runs.

    In a notebook a table and the curves are renewed in place instead.

    Args:
        rows: Rows of ``metrics.csv`` so far, which another callback adds to.
        monitor: What tells which epoch is best, without ``valid_``.
    """

    def __init__(self, rows: Callable[[], Sequence[Mapping[str, float]]], monitor: str) -> None:
        self.rows, self.monitor = rows, monitor
        self._bar: Any = None
        self._task: Any = None
        self._started = self._looked = 0.0
        self._first = 0
        self._shown = _NotebookView() if in_notebook() else None

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Notes when the first epoch of this process begins."""
        self._started, self._first = time.perf_counter(), trainer.current_epoch
        if self._shown is None:
            say(_HEAD)

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Draws an empty bar where there is a terminal."""
        if self._shown is not None or not sys.stderr.isatty():
            return
        self._bar = _epoch_bar()
        number = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._task = self._bar.add_task(
            f"epoch {number}", total=trainer.num_training_batches, loss=""
        )
        self._bar.start()

    def on_train_batch_end(self, _trainer: Any, _module: Any, outputs: Any, *_: Any) -> None:
        """Moves the bar, and renews the loss now and then."""
        if self._bar is None:
            return
        if (now := time.perf_counter()) - self._looked > _LOSS_EVERY_S:
            self._looked = now
            self._bar.update(self._task, loss=f"loss {float(outputs['loss']):.3f}")
        self._bar.advance(self._task)

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        """Prints the line of the epoch."""
        self._remove_bar()
        rows = self.rows()
        best = best_epoch(rows, self.monitor)
        score = rows[best].get(f"valid_{self.monitor}", float("nan"))
        done = trainer.current_epoch + 1 - self._first
        spent = time.perf_counter() - self._started
        left = spent / done * (trainer.max_epochs - trainer.current_epoch - 1)
        lines = [
            epoch_line(rows[at], trainer.max_epochs, self.monitor, score,
                       is_best=at == best, left=left)
            for at in (range(len(rows)) if self._shown else [len(rows) - 1])
        ]  # fmt: skip
        if self._shown:
            self._shown.show(lines, rows, self.monitor)
        else:
            say(lines[-1])

    def on_exception(self, *_: Any) -> None:
        """Leaves the terminal as it was."""
        self._remove_bar()

    def _remove_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _epoch_bar() -> Any:
    """Returns a bar for the steps of an epoch that is gone when it stops, within 80 columns."""
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[loss]}"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


class _NotebookView:
    """A table of the last epochs and the curves, renewed in place."""

    def __init__(self) -> None:
        shown: Any = importlib.import_module("IPython.display")
        self._html = shown.HTML
        self._handle = shown.display(shown.HTML("<pre>training …</pre>"), display_id=True)

    def show(self, lines: Sequence[str], rows: Sequence[Mapping[str, float]], monitor: str) -> None:
        """Shows the last ten lines and the curves of all epochs."""
        picture = io.BytesIO()
        plot_curves(rows, monitor=monitor).savefig(picture, format="png", dpi=80)
        data = base64.b64encode(picture.getvalue()).decode()
        table = "\n".join([_HEAD, *lines[-10:]])
        image = '<img alt="loss and accuracy by epoch" style="max-width: 100%" '
        image += f'src="data:image/png;base64,{data}">'
        # Notebooks set <pre> in a letter of any width.
        style = "font-family: monospace; white-space: pre; line-height: 1.3; overflow-x: auto"
        self._handle.update(self._html(f'<pre style="{style}">{table}</pre>{image}'))


def say(line: str) -> None:
    """Prints a line to stderr; in a notebook, which shows that as an error, to stdout.

    In a terminal a long line is broken between words.
    """
    if sys.stderr.isatty():
        width, indent = shutil.get_terminal_size().columns, " " * 10
        line = textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False)
    print(line, file=sys.stdout if in_notebook() else sys.stderr, flush=True)
