"""Training one network for so much time or so many steps, on a GPU or a CPU, with checkpoints."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from research.expression.batches import Batches, adjusted_loss
from research.expression.views import resize, standardize
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: The average spans this share of the steps so far.
EMA_SPAN = 0.03
#: Steps that do not count for the rate.
WARM_STEPS = 10


@dataclass(frozen=True)
class FitSettings:
    """How one network is trained.

    Args:
        seconds: Time for it; the schedule follows the time that has passed.
        lr: Peak learning rate.
        optimizer: ``"sgd"`` (Nesterov, momentum 0.9) or ``"adamw"``.
        weight_decay: On convolutions and the linear layer, not on norms and biases.
        warmup: Share of the time until the peak.
        checkpoint: File of the state, for resuming; None: none.
        every_s: Seconds between two calls of ``on_tick``, and between checkpoints.
        bfloat16: Use it on a CPU too; it pays where the CPU multiplies it (AVX512-BF16, AMX).
        steps: End after these instead, however long they take, so that runs can be compared; 0:
            by time.
        small_side: Side of the input during the first part; 0: the full side throughout.
        small_share: That part's share of the training.
    """

    seconds: float
    lr: float
    optimizer: str = "sgd"
    weight_decay: float = 5e-4
    warmup: float = 0.04
    checkpoint: Path | None = None
    every_s: float = 30.0
    bfloat16: bool = False
    steps: int = 0
    small_side: int = 0
    small_share: float = 0.5

    def progress(self, report: FitReport) -> float:
        """Returns the share of the training that is done."""
        return report.steps / self.steps if self.steps else report.seconds / self.seconds

    def side(self, full: int, progress: float) -> int:
        """Returns the side of the input at that share of the training."""
        return self.small_side if self.small_side and progress < self.small_share else full


@dataclass
class FitReport:
    """What a training did.

    Args:
        steps: Steps.
        faces: Faces seen.
        seconds: Time taken, what ``on_tick`` took not counted.
        losses: Mean loss between two ticks.
        warm_faces: Faces of the first steps, during which kernels are chosen.
        warm_seconds: Their time.
    """

    steps: int = 0
    faces: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    warm_faces: int = 0
    warm_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Faces per second after the first steps."""
        return (self.faces - self.warm_faces) / max(self.seconds - self.warm_seconds, 1e-9)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}
    ]  # fmt: skip


def _optimizer(network: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    groups = _groups(network, settings.weight_decay)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr)
    return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)


def schedule(progress: float, warmup: float) -> float:
    """Returns the share of the peak learning rate: a linear rise, then a cosine to zero.

    >>> schedule(0.0, 0.1), schedule(0.1, 0.1), round(schedule(1.0, 0.1), 6)
    (0.01, 1.0, 0.0)
    """
    if progress < warmup:
        return max(progress / warmup, 0.01)
    return 0.5 * (1 + math.cos(math.pi * min((progress - warmup) / (1 - warmup), 1.0)))


class Averaged:
    """A network whose weights and statistics are the running mean of another's."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Moves towards the network; the mean spans a fixed share of all steps."""
        self.steps += 1
        share = 1 / (1 + EMA_SPAN * self.steps)
        mine = [v for v in self.network.state_dict().values() if v.is_floating_point()]
        theirs = [v for v in network.state_dict().values() if v.is_floating_point()]
        torch._foreach_lerp_(mine, theirs, share)


def fit(
    network: nn.Module,
    batches: Batches,
    side: int,
    settings: FitSettings,
    on_tick: Callable[[nn.Module, float], None] = lambda _network, _progress: None,
) -> tuple[nn.Module, FitReport]:
    """Trains a network for the time or the steps of the settings and returns its average.

    Args:
        network: On its device; changed in place.
        batches: Draws what it sees.
        side: Of its input.
        settings: Time, optimiser, checkpoint.
        on_tick: Called with the average and the share of the time, every so many seconds.
    """
    device = next(network.parameters()).device
    cuda = device.type == "cuda"
    layout = choose_layout(network, side, batches.batch_size)
    network.to(memory_format=layout)
    optimizer = _optimizer(network, settings)
    average = Averaged(network)
    report = FitReport()
    _resume(network, optimizer, average, report, settings)
    total = torch.zeros((), device=device)
    counted = 0
    begin = time.monotonic() - report.seconds
    next_tick = report.seconds + settings.every_s
    while (progress := settings.progress(report)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(progress, settings.warmup)
        now = settings.side(side, progress)
        loss = _step(network, batches, now, optimizer, layout, bfloat16=settings.bfloat16)
        average.update(network)
        total += loss
        counted += 1
        report.steps += 1
        report.faces += batches.batch_size
        if cuda and report.steps % 10 == 0:
            torch.cuda.synchronize()
        report.seconds = time.monotonic() - begin
        if report.steps == WARM_STEPS:
            report.warm_faces, report.warm_seconds = report.faces, report.seconds
        if report.seconds >= next_tick:
            report.losses.append(round(float(total) / counted, 4))
            total.zero_()
            counted = 0
            report.seconds = time.monotonic() - begin
            paused = time.monotonic()
            on_tick(average.network, settings.progress(report))
            _save(network, optimizer, average, report, settings)
            begin += time.monotonic() - paused
            next_tick = report.seconds + settings.every_s
    if cuda:
        torch.cuda.synchronize()
    return average.network, report


def choose_layout(network: nn.Module, side: int, batch_size: int) -> torch.memory_format:
    """Returns the quicker memory layout on a GPU, by a few steps; on a CPU channels last."""
    if next(network.parameters()).device.type != "cuda":
        return torch.channels_last
    seconds = time_layouts(network, side, batch_size)
    return min(seconds, key=lambda layout: seconds[layout])


def time_layouts(
    network: nn.Module, side: int, batch_size: int
) -> dict[torch.memory_format, float]:
    """Returns the seconds of three training steps in each layout; the weights stay as they are."""
    device = next(network.parameters()).device
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    torch.backends.cudnn.benchmark = True
    seconds: dict[torch.memory_format, float] = {}
    state = copy.deepcopy(network.state_dict())
    network.train()
    for layout in (torch.channels_last, torch.contiguous_format):
        network.to(memory_format=layout)
        x = torch.randn(batch_size, 1, side, side, device=device).contiguous(memory_format=layout)
        start = 0.0
        for step in range(6):
            if step == 3:
                wait()
                start = time.monotonic()
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = network(x).float().square().mean()
            loss.backward()
        wait()
        seconds[layout] = time.monotonic() - start
    network.zero_grad(set_to_none=True)
    network.load_state_dict(state)
    return seconds


def _step(
    network: nn.Module, batches: Batches, side: int, optimizer: torch.optim.Optimizer,
    layout: torch.memory_format, *, bfloat16: bool = False,
) -> Tensor:  # fmt: skip
    torch.backends.cudnn.benchmark = True
    views, targets, priors = batches.draw()
    x = standardize(resize(views, side)).contiguous(memory_format=layout)
    network.train()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda or bfloat16):
        logits = network(x)
    loss = adjusted_loss(logits, targets, priors)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return loss.detach()


def _save(
    network: nn.Module, optimizer: torch.optim.Optimizer, average: Averaged, report: FitReport,
    settings: FitSettings,
) -> None:  # fmt: skip
    if settings.checkpoint is None:
        return
    state = {
        "network": network.state_dict(), "optimizer": optimizer.state_dict(),
        "average": average.network.state_dict(), "report": vars(report),
        "random": torch.get_rng_state(),
    }  # fmt: skip
    part = settings.checkpoint.with_suffix(".part")
    torch.save(state, part)
    part.replace(settings.checkpoint)


def _resume(
    network: nn.Module, optimizer: torch.optim.Optimizer, average: Averaged, report: FitReport,
    settings: FitSettings,
) -> None:  # fmt: skip
    if settings.checkpoint is None or not settings.checkpoint.is_file():
        return
    state = torch.load(settings.checkpoint, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    average.network.load_state_dict(state["average"])
    torch.set_rng_state(state["random"])
    for key, value in state["report"].items():
        setattr(report, key, value)
    average.steps = report.steps
