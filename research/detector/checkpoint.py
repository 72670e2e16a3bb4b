"""What trainings of the detector's small networks share: averaged weights, and a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

#: Parts of a training that a checkpoint holds, by the names of their attributes.
_PARTS = ("network", "average", "optimizer")


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves averaged weights and statistics towards those of a network, in place."""
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for old, new in pairs:
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)


def save_run(training: Any, path: Path) -> None:
    """Writes network, average, optimiser and step of a training, whole or not at all."""
    parts = {name: getattr(training, name).state_dict() for name in _PARTS}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**parts, "step": training.step}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def load_run(training: Any, path: Path) -> bool:
    """Takes over what :func:`save_run` wrote, if it is there; says whether it was."""
    if not path.is_file():
        return False
    state = torch.load(path, weights_only=True)
    for name in _PARTS:
        getattr(training, name).load_state_dict(state[name])
    training.step = state["step"]
    return True
