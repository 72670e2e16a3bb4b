"""The batch size of ``auto``: on a GPU the most that fits into memory, elsewhere a usual one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from mien.training.callbacks import is_full_memory
from mien.training.device import autocast, training_device
from mien.training.hooks import Callback, EnoughError
from mien.training.loop import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.training.config import TrainConfig
    from mien.training.data.faces import FaceTensors
    from mien.training.module import ExpressionModule

#: Faces per step on a processor, and at most on a GPU: the learning rate does not follow.
ON_CPU, ON_GPU = 128, 1024
#: Steps that an epoch keeps at least.
MIN_STEPS = 4
#: Steps of a try: in the second the optimiser holds its state already.
_TRIED = 2


def choose_batch_size(
    config: TrainConfig,
    count: int,
    sample: FaceTensors,
    make: Callable[[TrainConfig], ExpressionModule],
) -> int:
    """Returns the faces per step that suit the device of a recipe, a power of two.

    Args:
        config: The recipe.
        count: Training faces; a step has at most a quarter of them.
        sample: Faces to try steps with.
        make: Builds what is trained of a recipe.
    """
    highest = 1 << (max(count // MIN_STEPS, 2).bit_length() - 1)
    device = training_device(config)
    if device.type != "cuda":
        return min(highest, ON_CPU)
    highest = min(highest, ON_GPU)
    module = make(_heaviest(config, highest))
    return largest_that_fits(highest, partial(_try_steps, module, device, sample))


def largest_that_fits(highest: int, try_steps: Callable[[int], None]) -> int:
    """Halves a power of two until it can be trained with; 2 is not tried.

    >>> def three_fit(size):
    ...     if size > 3:
    ...         raise MemoryError
    >>> largest_that_fits(64, three_fit)
    2
    """
    size = highest
    while size > 2:
        try:
            try_steps(size)
            break
        except (MemoryError, RuntimeError) as error:
            if not is_full_memory(error):
                raise
        size //= 2
    return size


def _heaviest(config: TrainConfig, size: int) -> TrainConfig:
    """Returns the recipe as of the epoch that needs most memory."""
    changes: dict[str, Any] = {"batch_size": size, "first_size": 0}
    if config.freeze_epochs:
        changes |= {"freeze": "none", "freeze_epochs": 0, "unfreeze": 0}
    if config.distill_views:  # teachers answer before the first epoch
        changes |= {"teachers": "", "distill_views": 0}
    return replace(config, **changes)


class _FewSteps(Callback):
    def on_train_batch_end(self, _trainer: Any, _module: Any, _outputs: Any, *where: Any) -> None:
        """Ends after the last step of a try."""
        if where[-1] + 1 == _TRIED:
            raise EnoughError


class _Repeated(list[Any]):
    """Batches that are their own sampler."""

    @property
    def sampler(self) -> _Repeated:
        return self

    def set_epoch(self, _epoch: int) -> None:
        """Nothing is shuffled."""


def _try_steps(
    module: ExpressionModule, device: torch.device, sample: FaceTensors, size: int
) -> None:
    torch.cuda.empty_cache()  # of a try that did not fit
    batch = sample[[at % len(sample) for at in range(size)]]
    trainer = Trainer(1, device, partial(autocast, module.config), callbacks=[_FewSteps()])
    with suppress(EnoughError):
        trainer.fit(module, _Repeated([batch] * _TRIED), [])
