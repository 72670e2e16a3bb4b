"""Trains the detector: on a GPU in ten minutes, on two processor cores in a night; resumes.

``python -m research.detector.train --pack PACK -c recipes/detector/gpu.yaml -o runs/detector/run``
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from research.detector.bank import Bank, build_bank
from research.detector.batches import BatchConfig, make_batch
from research.detector.config import TrainConfig, read_config
from research.detector.losses import detection_loss
from research.detector.network import DetectorNetwork
from research.detector.pack import load_pack
from research.detector.targets import assign, make_cells
from research.detector.validate import Kept, keep_aside, measure
from torch import Tensor, nn

WEIGHTS, CHECKPOINT, LOG = "detector.safetensors", "checkpoint.pt", "log.json"


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights of convolutions decay; biases and normalisations do not."""
    named = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in named if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]


def learning_rate(config: TrainConfig, progress: float) -> float:
    """A linear rise, then half a cosine, by the share of the run that is done.

    >>> learning_rate(TrainConfig(lr=1.0, warmup=0.1, final_lr=0.0), 0.1)
    1.0
    """
    if progress < config.warmup:
        return config.lr * max(progress / config.warmup, 0.01)
    part = min((progress - config.warmup) / (1 - config.warmup), 1.0)
    return config.lr * (
        config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * part)) / 2
    )


class Trainer:
    """One run: network, optimiser, averaged weights, and where it stands.

    Args:
        config: The run's.
        bank: The images to train on.
        output: Folder for weights, checkpoint and log.
        left: Seconds that are left for training in this process; 0 where the configuration's
            seconds or steps count, whatever process they were done in.
        start: Weights to begin with; None: of chance.
    """

    def __init__(
        self,
        config: TrainConfig,
        bank: Bank,
        output: Path,
        left: float,
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.bank, self.output, self.left = config, bank, output, left
        self.budget = left or config.seconds
        self.device = bank.device
        self.network = DetectorNetwork(config.network).to(self.device)
        if start is not None:
            from safetensors.torch import load_file

            self.network.load_state_dict(load_file(start))
        self.average = copy.deepcopy(self.network).eval().requires_grad_(requires_grad=False)
        cuda = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network, config.weight_decay), lr=config.lr, fused=cuda
        )
        size = config.batch.view.size
        self.cells = make_cells(size, size, self.device)
        self.channels_last = bool(config.channels_last)
        self.step, self.elapsed, self.skipped = 0, 0.0, 0
        self.records: list[dict[str, Any]] = []

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0..1."""
        if self.budget:
            return min(self.elapsed / self.budget, 1.0)
        return min(self.step / self.config.steps, 1.0)

    def batch_config(self) -> BatchConfig:
        """How batches are made at this point of the run."""
        batch = self.config.batch
        if self.progress >= 1 - self.config.plain:
            batch = replace(batch, compose=replace(batch.compose, mosaic=0.0, cover=0.0))
        return batch

    def losses(self, batch_config: BatchConfig) -> dict[str, Tensor]:
        """Makes a batch and computes the parts of the loss."""
        batch = make_batch(self.bank, batch_config, self.config.batch_size)
        images = batch.images
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            maps = self.network.features(images)
        outputs = self.network.answers([y.float() for y in maps]).transpose(1, 2)
        targets = assign(self.cells, outputs.detach(), batch.regions, batch.ignored)
        return detection_loss(outputs, self.cells, targets, self.config.loss)

    def train_step(self) -> dict[str, Tensor]:
        """One step of the optimiser; a step whose gradient is not finite is left out."""
        rate = learning_rate(self.config, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        parts = self.losses(self.batch_config())
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        if bool(norm.isfinite()):
            self.optimizer.step()
            self.step += 1
            self._average()
        else:
            self.skipped += 1
            if self.skipped > 200:
                raise RuntimeError("200 steps had no finite gradient: lower the learning rate.")
        return {**{name: part.detach() for name, part in parts.items()}, "norm": norm}

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        mine = [*self.average.parameters()]
        torch._foreach_lerp_(mine, [*self.network.parameters()], 1 - decay)
        for old, new in zip(self.average.buffers(), self.network.buffers(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)

    def choose_layout(self) -> None:
        """Times both orders of the pixels for a few steps and keeps the faster one."""
        if self.config.channels_last is not None or self.device.type != "cuda":
            self._lay_out(last=self.config.channels_last is not False)
            return
        times = {}
        for last in (False, True):
            self._lay_out(last=last)
            for number in range(8):
                if number == 3:
                    torch.cuda.synchronize()
                    start = time.monotonic()
                self.losses(self.batch_config())["score"].backward()
            torch.cuda.synchronize()
            times[last] = (time.monotonic() - start) / 5
        self.network.zero_grad(set_to_none=True)
        self._lay_out(last=times[True] < times[False])
        say(f"seconds per pass: {times[False]:.4f} by channel, {times[True]:.4f} by pixel")

    def _lay_out(self, *, last: bool) -> None:
        form = torch.channels_last if last else torch.contiguous_format
        self.channels_last = last
        self.network.to(memory_format=form)
        self.average.to(memory_format=form)

    def save(self) -> None:
        """Writes the averaged weights, the checkpoint and the log, each whole or not at all."""
        from safetensors.torch import save_file

        self.output.mkdir(parents=True, exist_ok=True)
        state = {k: v.contiguous().cpu() for k, v in self.average.state_dict().items()}
        save_file(state, self.output / (WEIGHTS + ".part"))
        (self.output / (WEIGHTS + ".part")).replace(self.output / WEIGHTS)
        checkpoint = {
            "network": self.network.state_dict(), "average": state, "step": self.step,
            "elapsed": self.elapsed, "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        torch.save(checkpoint, self.output / (CHECKPOINT + ".part"))
        (self.output / (CHECKPOINT + ".part")).replace(self.output / CHECKPOINT)
        self.save_log()

    def save_log(self) -> None:
        """Writes what has been recorded so far."""
        text = json.dumps({"config": self.config.to_dict(), "records": self.records}, indent=1)
        (self.output / LOG).write_text(text, encoding="utf-8")

    def resume(self) -> None:
        """Continues from the checkpoint in the output folder, if there is one."""
        path = self.output / CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        if self.left:
            self.budget = self.elapsed + self.left
        torch.manual_seed(self.config.seed + self.step)
        if (self.output / LOG).is_file():
            self.records = json.loads((self.output / LOG).read_text(encoding="utf-8"))["records"]
        say(f"resumed at step {self.step}")

    def measure(self, kept: Kept | None) -> None:
        """Measures the averaged weights; a failure is reported and does not end the run."""
        if kept is None:
            return
        try:
            start = time.monotonic()
            benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
            report, _ = measure(self.average, kept, self.device)
            torch.backends.cudnn.benchmark = benchmark
            report["seconds"] = round(time.monotonic() - start, 1)
            self.records.append({"step": self.step, "valid": report})
            say(f"valid at step {self.step}: {json.dumps(report)}")
        except Exception:  # noqa: BLE001 - hours of training are worth more than one measurement
            traceback.print_exc()

    def run(self, kept: Kept | None) -> None:
        """Trains until the time or the steps are over."""
        self.choose_layout()
        config, before = self.config, self.elapsed
        start = last_save = last_measure = last_log = time.monotonic()
        steps_then = self.step
        while self.progress < 1:
            parts = self.train_step()
            now = time.monotonic()
            self.elapsed = before + now - start
            if now - last_log >= 5 or self.progress >= 1:
                values = {name: round(float(part), 4) for name, part in parts.items()}
                rate = (self.step - steps_then) / (now - last_log)
                record = {"step": self.step, "elapsed": round(self.elapsed, 1), **values}
                self.records.append({**record, "steps_per_s": round(rate, 2)})
                say(json.dumps(self.records[-1]))
                last_log, steps_then = now, self.step
            if now - last_save >= config.save_every:
                self.save()
                last_save = now
            if config.measure_every and now - last_measure >= config.measure_every:
                self.measure(kept)
                last_measure = time.monotonic()
                # Time spent measuring counts, so that the run ends when it should.
                self.elapsed = before + last_measure - start
        self.save()


def main() -> None:
    """Trains from the command line."""
    begin = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("-c", "--config", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--left", type=float, default=0.0, help="seconds that this process has, loading included"
    )
    parser.add_argument("--seconds", type=float, help="seconds of training in all")
    parser.add_argument("--steps", type=int, help="steps in all, instead of a time")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--limit", type=int, default=0, help="images of each source, for trials")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    args = parser.parse_args()
    config = read_config(args.config)
    for name in ("seconds", "steps", "batch_size"):
        if getattr(args, name) is not None:
            config = replace(config, **{name: getattr(args, name)})
    if args.steps:
        config = replace(config, seconds=0.0)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    say(f"torch {torch.__version__}, {os.cpu_count()} cores, {device}")
    pack = load_pack(args.pack)
    chosen = np.flatnonzero(~pack.valid)
    if args.limit:
        groups = [
            chosen[pack.source[chosen] == s][: args.limit] for s in range(pack.source.max() + 1)
        ]
        chosen = np.concatenate(groups)
    bank = build_bank(pack, chosen, device)
    say(
        f"{len(chosen)} images, {bank.pixels.numel() * 4 / 1e9:.2f} GB, "
        f"{time.monotonic() - begin:.0f} s"
    )
    try:
        kept = keep_aside(pack, args.limit or config.measure_limit)
    except Exception:  # noqa: BLE001 - training goes on without
        traceback.print_exc()
        kept = None
    left = 0.0
    if args.left:  # a little of it is for the last measurement
        spent = time.monotonic() - begin
        left = max(args.left - spent - min(15.0, 0.15 * args.left), 1.0)
    trainer = Trainer(config, bank, args.output, left, args.start)
    trainer.resume()
    say(f"{sum(p.numel() for p in trainer.network.parameters()):,} weights; training begins")
    trainer.run(kept)
    if device.type == "cuda":
        say(f"GPU memory at most: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
    try:
        full = kept if args.limit else keep_aside(pack)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        full = kept
    trainer.measure(full)
    trainer.save_log()
    say(f"done after {time.monotonic() - begin:.0f} s, {trainer.step} steps")


if __name__ == "__main__":
    main()
