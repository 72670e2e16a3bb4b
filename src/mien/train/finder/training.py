"""The state of a training of the detector, and one step of it."""

from __future__ import annotations

import copy
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.swa_utils import AveragedModel

from mien.atomic import replacing
from mien.errors import DataError
from mien.models.finder import Finder
from mien.train.averaging import follow
from mien.train.finder.batches import split_batch
from mien.train.finder.loss import finder_losses
from mien.train.finder.weights import load_weights

if TYPE_CHECKING:
    from torch import Tensor

    from mien.train.finder.config import FinderConfig
    from mien.train.finder.targets import Faces


class Training:
    """The state of a run: network, average, optimiser, and how far it is."""

    def __init__(self, config: FinderConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        network = load_weights(Path(config.start)) if config.start else Finder()
        self.network = network.train().to(memory_format=torch.channels_last)
        # Copies that share the weights, but neither gradients nor running statistics.
        self.replicas = [self.network]
        for _ in range(config.parts - 1):
            replica = copy.deepcopy(self.network)
            for own, shared in zip(replica.parameters(), self.network.parameters(), strict=True):
                own.data = shared.data
            self.replicas.append(replica)
        self.inner = max((config.threads or os.cpu_count() or 1) // config.parts, 1)
        self.threads = ThreadPoolExecutor(config.parts)
        self.average = AveragedModel(
            self.network, multi_avg_fn=partial(follow, decay=config.ema_decay), use_buffers=True
        )
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        free = [p for p in self.network.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed}, {"params": free, "weight_decay": 0.0},
        ]  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=config.lr, weight_decay=config.weight_decay, fused=True,
        )  # fmt: skip
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._factor)
        self.step = 0
        self.rows: list[dict[str, float]] = []
        fast = torch.cpu._is_avx512_bf16_supported()
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and fast)

    def _factor(self, step: int) -> float:
        config = self.config
        if step < config.warmup_steps:
            return (step + 1) / (config.warmup_steps + 1)
        done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
        return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * done))

    def learn(self, pictures: Tensor, faces: Faces) -> dict[str, float]:
        """Takes one step; returns the parts of the loss.

        The parts of the batch are computed side by side and their gradients averaged.

        Raises:
            DataError: If the loss is no longer a number.
        """
        parts = split_batch(pictures, faces, len(self.replicas))
        found = list(self.threads.map(self._gradient, self.replicas, parts))
        means = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
        if not math.isfinite(means["loss"]):
            raise DataError(f"the loss became {means['loss']} in step {self.step}: lower lr.")
        for group in zip(*(replica.parameters() for replica in self.replicas), strict=True):
            total = torch.stack([p.grad for p in group if p.grad is not None]).mean(dim=0)
            group[0].grad = total
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return means

    def _gradient(self, replica: Finder, part: tuple[Tensor, Faces]) -> dict[str, float]:
        torch.set_num_threads(self.inner)
        config, (pictures, faces) = self.config, part
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            raw = replica(pictures)
        losses = finder_losses(raw.float(), faces, *pictures.shape[2:])
        loss = losses.score + config.box_weight * losses.box + config.point_weight * losses.points
        replica.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        values = {"loss": loss, "score": losses.score, "box": losses.box, "points": losses.points}
        return {name: float(value.detach()) for name, value in values.items()} | {
            "taken": float(losses.taken)
        }

    def save(self, path: Path) -> None:
        """Writes a checkpoint whole or not at all."""
        parts = ("network", "average", "optimizer", "schedule")
        state = {name: getattr(self, name).state_dict() for name in parts}
        with replacing(path) as temporary:
            torch.save({**state, "step": self.step, "rows": self.rows}, temporary)

    def load(self, path: Path) -> None:
        """Goes back to a checkpoint."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name in ("network", "average", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.rows = state["step"], state["rows"]
