"""The learning rate range test: one short training whose rate rises from step to step.

After Smith 2015, https://arxiv.org/abs/1506.01186: the loss falls while the rate is right, and
shoots up where it is too high.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import write_text
from mien.config import import_plugins
from mien.errors import DataError
from mien.reporting.theme import LIGHT, Theme, label_axes, new_panels, save_figure
from mien.training.config import TrainConfig, check_data
from mien.training.data.faces import FaceTensors, make_loader
from mien.training.device import autocast, training_device
from mien.training.directory import csv_text
from mien.training.distributed.processes import SINGLE, process_settings
from mien.training.hooks import Callback, EnoughError
from mien.training.loop import Trainer
from mien.training.network import trained_spec
from mien.training.run import check_parts, load_data, make_module, suited_batch_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from mien.arrays import F64

#: The first and the last rate, the share of the average loss that stays, and how many times the
#: lowest loss ends the test.
LOW, HIGH, SMOOTHING, TOO_HIGH = 1e-5, 10.0, 0.9, 4.0


@dataclass(frozen=True)
class RateSearch:
    """The losses of a range test.

    Args:
        rates: The rate of each step, rising.
        losses: The running mean of the loss after it.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def best(self) -> float:
        """A tenth of the rate at which the loss was lowest: a peak rate that leaves room."""
        return self.rates[int(np.argmin(self.losses))] / 10

    @property
    def steepest(self) -> float:
        """The rate at which the loss fell fastest by the logarithm of the rate.

        Of rates up to that of the lowest loss: what runs away may fall again afterwards.
        """
        slopes = np.gradient(np.array(self.losses), np.log(np.array(self.rates)))
        return self.rates[int(np.argmin(slopes[: int(np.argmin(self.losses)) + 1]))]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {"best": self.best, "steepest": self.steepest, **vars(self)}

    def plot(self, theme: Theme = LIGHT) -> Figure:
        """Plots the loss by the rate; the rate that is proposed is marked."""
        figure, (axes,) = new_panels(theme, 1, 6.4, 3.8)
        axes.plot(self.rates, self.losses, color=theme.accent, linewidth=1.8)
        axes.set_xscale("log")
        axes.axvline(self.best, color=theme.second, linewidth=1.4)
        low, high = min(self.losses), self.losses[0]
        axes.set_ylim(low - 0.1 * (high - low), high + 0.6 * abs(high - low) + 1e-6)
        axes.text(
            self.best, 0.96, f" {self.best:.2g}", transform=axes.get_xaxis_transform(),
            color=theme.ink, fontsize=9, va="top",
        )  # fmt: skip
        label_axes(axes, theme, "learning rate", "training loss, running mean")
        return figure


class _Ramp(Callback):
    """Raises the rate from step to step and keeps the running mean of the loss."""

    def __init__(self, rates: F64) -> None:
        self.wanted = rates
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._mean = 0.0
        self._shares: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, _module: Any, _batch: Any, at: int) -> None:
        """Sets the rate; that of earlier layers keeps its share of it."""
        groups = trainer.optimizers[0].param_groups
        if at == 0:
            highest = max(float(group["lr"]) for group in groups) or 1.0
            self._shares = [float(group["lr"]) / highest for group in groups]
        for group, share in zip(groups, self._shares, strict=True):
            group["lr"] = share * self.wanted[at]

    def on_train_batch_end(
        self, _trainer: Trainer, _module: Any, outputs: Any, _batch: Any, at: int
    ) -> None:
        """Notes the loss; ends the test where it has run away."""
        loss = float(outputs["loss"])
        self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * loss
        mean = self._mean / (1 - SMOOTHING ** (at + 1))
        if not math.isfinite(mean) or (self.losses and mean > TOO_HIGH * min(self.losses)):
            raise EnoughError
        self.rates.append(float(self.wanted[at]))
        self.losses.append(mean)
        if at + 1 == len(self.wanted):
            raise EnoughError


class _Cycle:
    """Batches of one epoch after the other, as many as there are steps."""

    def __init__(self, loader: Any, steps: int) -> None:
        self.loader, self.steps, self.sampler = loader, steps, loader.sampler

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        for epoch in count():
            self.sampler.set_epoch(epoch)
            yield from self.loader


def find_lr(recipe: TrainConfig, output: Path | None = None, *, steps: int = 100) -> RateSearch:
    """Searches the peak learning rate of a recipe with one short training, which is thrown away.

    Args:
        recipe: What is trained; its own ``lr`` does not matter.
        output: Folder for ``lr.csv`` and ``lr.png``; None: nothing is written.
        steps: Rates to try, from 0.00001 to 10, evenly on a logarithmic scale.

    Raises:
        DataError: If the loss runs away at once, or the faces lie in shards.
        MienError: What :func:`mien.train` raises before its first step.
    """
    import_plugins(recipe.imports)
    check_data(recipe)
    check_parts(recipe)
    spec = trained_spec(recipe)
    ramp = _Ramp(np.geomspace(LOW, HIGH, steps))
    with process_settings(recipe, SINGLE):
        data = load_data(recipe, spec.preprocessing)
        faces = data.train_faces
        if not isinstance(faces, FaceTensors):
            raise DataError("lie in shards: search the rate on a folder or table of them",
                            subject="faces")  # fmt: skip
        size = recipe.batch_size or suited_batch_size(recipe, spec, data)
        recipe = replace(recipe, batch_size=size)
        module = make_module(recipe, spec, data)
        trainer = Trainer(1, training_device(recipe), partial(autocast, recipe), callbacks=[ramp])
        loader = make_loader(faces, recipe.batch_size, seed=recipe.seed)
        with suppress(EnoughError):
            trainer.fit(module, _Cycle(loader, steps), [])
    if len(ramp.rates) < 10:
        raise DataError(f"ran away after {len(ramp.rates)} steps at tiny rates: check the data",
                        subject="the loss")  # fmt: skip
    found = RateSearch(tuple(ramp.rates), tuple(ramp.losses))
    if output is not None:
        _write(found, output)
    return found


def _write(found: RateSearch, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    rows: Sequence[Any] = list(zip(found.rates, found.losses, strict=True))
    write_text(output / "lr.csv", csv_text(("lr", "loss"), rows))
    save_figure(found.plot(), output / "lr.png")
