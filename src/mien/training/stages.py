"""Networks by stages, from the first layer to the head: what transfer learning freezes and slows.

Frozen features before a new head, then gradual unfreezing from the last stage on, are those of
Howard and Ruder 2018, https://arxiv.org/abs/1801.06146, and so are lower rates for earlier layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.training.config import TrainConfig

#: Name of the last linear layer of every network in the registry.
HEAD = "head"


def stage_names(network: nn.Module) -> list[list[str]]:
    """Returns the names of a network's parameters by stage, earliest first, the head last.

    A network that offers ``stage_names()`` says itself. Else its children are the stages, in the
    order in which they were made; of a container that holds blocks, each block is one.

    >>> from mien.models import create_model
    >>> stages = stage_names(create_model("mienet_test", num_classes=3))
    >>> len(stages), stages[0][0], stages[-1]
    (5, 'stem.0.weight', ['head.weight', 'head.bias'])
    """
    names = [name for name, _ in network.named_parameters()]
    own = getattr(network, "stage_names", None)
    if own is not None:
        features: list[list[str]] = own()
    else:
        heads = list(_stage_modules(network, ""))
        features = [_below(names, prefix) for prefix in heads]
        loose = set(names).difference(*features) if features else set(names)
        features.insert(0, [name for name in names if name in loose])
    head = set(_below(names, HEAD))
    stages = [[name for name in stage if name not in head] for stage in features]
    return [stage for stage in stages if stage] + ([_below(names, HEAD)] if head else [])


def _below(names: list[str], prefix: str) -> list[str]:
    return [name for name in names if name == prefix or name.startswith(f"{prefix}.")]


def _stage_modules(module: nn.Module, prefix: str) -> Iterator[str]:
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        inner = list(child.children())
        if isinstance(child, (nn.Sequential, nn.ModuleList)) and any(
            list(block.children()) for block in inner
        ):
            yield from _stage_modules(child, f"{path}.")
        else:
            yield path


class UnfreezeSchedule:
    """Which parameters of a network with a layer ``head`` train in which epoch."""

    def __init__(self, network: nn.Module, config: TrainConfig) -> None:
        self.network, self.config = network, config
        self.stages = stage_names(network)
        if config.freeze != "none" and not all(n.startswith(HEAD) for n in self.stages[-1]):
            raise ConfigError(
                f"model {config.model!r} has no last layer {HEAD!r} that could train alone: give "
                "freeze: none."
            )

    def free_stages(self, epoch: int) -> int:
        """Returns how many stages train in an epoch (0 is the first), counted from the head."""
        config = self.config
        if config.freeze == "none":
            return len(self.stages)
        if not config.freeze_epochs or epoch < config.freeze_epochs:
            return 1
        if not config.unfreeze:
            return len(self.stages)
        return min(1 + config.unfreeze * (epoch - config.freeze_epochs + 1), len(self.stages))

    def apply(self, epoch: int) -> None:
        """Prepares the network for an epoch: training mode, gradients only where it trains.

        A batch norm whose weights are frozen keeps its statistics too.
        """
        self.network.train()
        frozen_names = self.stages[: len(self.stages) - self.free_stages(epoch)]
        frozen = {name for stage in frozen_names for name in stage}
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name not in frozen)
        for name, module in self.network.named_modules():
            if not isinstance(module, nn.modules.batchnorm._BatchNorm):
                continue
            if self.config.freeze_bn:
                module.requires_grad_(requires_grad=False)
            if self.config.freeze_bn or f"{name}.weight" in frozen:
                module.eval()
