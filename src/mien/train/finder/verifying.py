"""``mien finder verifier``: trains the network that judges what the detector proposes.

Two rounds. The first shows candidates alike, faces as often as others; then all are judged once,
and the second prefers those that are judged wrongly or hardly rightly.
"""

from __future__ import annotations

import math
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import BatchNorm2d, functional
from torch.optim.swa_utils import AveragedModel

from mien.atomic import replacing
from mien.errors import ConfigError, DataError, ModelError
from mien.models.verifier import Verifier
from mien.train.averaging import follow
from mien.train.finder.candidates import GROUPS, PASTED, Candidates, load_candidates
from mien.train.finder.changes import change, framed
from mien.train.finder.run import LAST, METRICS, prepare, write_metrics
from mien.train.finder.verifier_config import VerifierConfig, make_verifier_config
from mien.train.finder.weights import save_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERIFIER_WEIGHTS = "verifier.safetensors"
#: Labels are this far from 0 and 1: some are wrong.
_DOUBT = 0.01
#: Noise on the logit of the detector's score, so that the picture is looked at too.
_SCORE_NOISE = 0.5
_MOST_LOSS = 2.0
_JUDGED_AT_ONCE = 256
#: Values that may differ when a run is resumed: they change no result.
_FREE = frozenset({"start", "candidates", "threads", "log_every"})


def start_network(path: str) -> Verifier:
    """Builds the network, with the weights of an expression model or of an earlier verifier.

    Raises:
        ModelError: If the file cannot be read or holds weights of something else.
    """
    network = Verifier()
    if not path:
        return network
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    place = Path(path)
    place = place / "model.safetensors" if place.is_dir() else place
    try:
        state = load_file(place)
        if any(name.startswith("backbone.") for name in state):
            network.load_state_dict(state)
        else:
            layers = {name: v for name, v in state.items() if not name.startswith("head.")}
            network.backbone.load_state_dict(layers)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{place} does not hold weights of mienet_s: {error}") from error
    return network


def sampling(
    found: Candidates, config: VerifierConfig, logits: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Returns how often each candidate is shown (N,): half of the time a face.

    Args:
        found: The candidates.
        config: The recipe.
        logits: (N,), what the network says after the first round; None in it.
    """
    weights = np.ones(len(found.scores))
    if logits is not None:
        loss = np.logaddexp(0, np.where(found.is_face, -logits, logits))
        weights = config.easy + np.minimum(loss, _MOST_LOSS)
        of_people = np.isin(found.group, [GROUPS.index("people"), GROUPS.index("portraits")])
        weights[~found.is_face & of_people & (logits > config.doubtful)] = 0
    weights[~found.is_face & (found.group == GROUPS.index("animals"))] *= config.animals
    weights[found.is_face & (found.group == PASTED)] *= config.pasted
    for kind in (found.is_face, ~found.is_face):
        if not weights[kind].sum() > 0:
            raise DataError("candidates of both kinds are needed, faces and others.")
        weights[kind] *= 0.5 / weights[kind].sum()
    return weights


class VerifierTraining:
    """The state of a run: network, average, optimiser, order, and how far it is."""

    def __init__(self, config: VerifierConfig, found: Candidates) -> None:
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads or os.cpu_count() or 1)
        self.config, self.found = config, found
        self.network = start_network(config.start).train().to(memory_format=torch.channels_last)
        for module in self.network.modules():
            if isinstance(module, BatchNorm2d):
                module.momentum = 0.03
        self.average = AveragedModel(
            self.network, multi_avg_fn=partial(follow, decay=config.ema_decay), use_buffers=True
        )
        body = list(self.network.backbone.parameters())
        head = [*self.network.head.parameters(), self.network.trust]
        groups = [{"params": body, "lr": config.lr}, {"params": head, "lr": config.head_lr}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._factor)
        self.step = 0
        self.logits: NDArray[np.float32] | None = None
        self.rows: list[dict[str, float]] = []
        fast = torch.cpu._is_avx512_bf16_supported()
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and fast)
        self._shown = np.zeros(0, np.int64)

    def _factor(self, step: int) -> float:
        first, steps = self.config.first_steps, self.config.steps
        begun, end = (0, first) if step < first else (first, steps)
        done = (step - begun + 1) / max(end - begun, 1)
        if done < self.config.warmup:
            return done / self.config.warmup
        rest = (done - self.config.warmup) / (1 - self.config.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))

    def deal(self) -> None:
        """Decides what the steps of this round show; judges all candidates before the second."""
        second = self.step >= self.config.first_steps
        if second and self.logits is None:
            self.logits = self.judge()
        weights = sampling(self.found, self.config, self.logits if second else None)
        rng = np.random.default_rng((self.config.seed, int(second)))
        steps = self.config.steps - self.config.first_steps if second else self.config.first_steps
        self._shown = rng.choice(len(weights), steps * self.config.batch_size, p=weights)

    def judge(self) -> NDArray[np.float32]:
        """Returns the averaged network's logits (N,) of all candidates."""
        network = self.average.module.eval()
        found, parts = self.found, []
        with torch.inference_mode():
            for start in range(0, len(found.scores), _JUDGED_AT_ONCE):
                part = slice(start, start + _JUDGED_AT_ONCE)
                faces = framed(torch.from_numpy(found.crops[part]))
                faces = faces.contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                    parts.append(network(faces, torch.from_numpy(found.scores[part])).float())
        return torch.cat(parts).numpy()

    def learn(self) -> float:
        """Takes one step; returns its loss.

        Raises:
            DataError: If the loss is no longer a number.
        """
        config, found = self.config, self.found
        if self.step in (0, config.first_steps) or not len(self._shown):
            self.deal()
        place = self.step - (config.first_steps if self.step >= config.first_steps else 0)
        rows = self._shown[place * config.batch_size : (place + 1) * config.batch_size]
        # All chance comes from the step, so that a run which was stopped resumes alike.
        dice = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        torch.manual_seed(config.seed * 1_000_003 + self.step)
        faces = change(torch.from_numpy(found.crops[rows]), dice)
        first = torch.from_numpy(found.scores[rows]).clamp(1e-3, 1 - 1e-3)
        noise = _SCORE_NOISE * torch.randn(len(rows), generator=dice)
        wanted = torch.from_numpy(found.is_face[rows]).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.network(
                faces.contiguous(memory_format=torch.channels_last),
                (torch.logit(first) + noise).sigmoid(),
            )
        loss = functional.binary_cross_entropy_with_logits(
            logits.float(), wanted * (1 - 2 * _DOUBT) + _DOUBT
        )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(f"the loss became {value} in step {self.step}: lower lr.")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return value

    def save(self, path: Path) -> None:
        """Writes a checkpoint whole or not at all."""
        parts = ("network", "average", "optimizer", "schedule")
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in parts}
        logits = None if self.logits is None else torch.from_numpy(self.logits)
        with replacing(path) as temporary:
            torch.save({**state, "step": self.step, "rows": self.rows, "logits": logits}, temporary)

    def load(self, path: Path) -> None:
        """Goes back to a checkpoint."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name in ("network", "average", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.rows = state["step"], state["rows"]
        self.logits = None if state["logits"] is None else state["logits"].numpy()
        if self.step < self.config.steps:
            self.deal()


def train_verifier(
    config: VerifierConfig,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Trains the network; returns the file with the averaged weights.

    Raises:
        ConfigError: If the recipe or the directory is unfit.
        DataError: If the candidates are.
        ModelError: If the weights to start from are.
    """
    if not config.candidates:
        raise ConfigError("give --candidates (see 'mien finder candidates').")
    found = load_candidates(Path(config.candidates))
    goes_on = prepare(
        output, config, make=make_verifier_config, free=_FREE, resume=resume, overwrite=overwrite
    )
    training = VerifierTraining(config, found)
    if goes_on:
        training.load(output / LAST)
    losses: list[float] = []
    start = time.perf_counter()
    while training.step < config.steps:
        losses.append(training.learn())
        if training.step % config.log_every and training.step < config.steps:
            continue
        seconds = round(time.perf_counter() - start, 2)
        row = {"step": float(training.step), "loss": float(np.mean(losses)), "seconds": seconds}
        training.rows.append(row)
        training.save(output / LAST)
        write_metrics(output / METRICS, training.rows)
        if progress:
            shown = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
            print(f"{shown}  of {config.steps} steps", file=sys.stderr, flush=True)  # noqa: T201
        losses, start = [], time.perf_counter()
    save_weights(training.average.module, output / VERIFIER_WEIGHTS)
    return output / VERIFIER_WEIGHTS
