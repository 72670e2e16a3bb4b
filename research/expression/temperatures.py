"""Whether a temperature that depends on the face calibrates the bundled model better than one.

``python -m research.expression.temperatures --data ../shared/data``: the logits of a face are
divided by ``exp(b + w . x)``, x what the rows of the table name (parameterised temperature scaling,
Tomani et al. 2022, https://arxiv.org/abs/2102.12182, with a linear function). Fitted by likelihood
on random halves of the validation faces of FER+, affect and CFEE, sources weighing the same, and
scored on the other halves, once with the scored source among those fitted on and once without.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from research.expression.bundle import SOURCES, crops_of, logits_of
from research.expression.evaluate import ece, read_validation, softmax
from research.expression.networks import build, load_weights
from torch.nn import functional

from mien.hub import WEIGHTS, read_model_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Inputs = Callable[[F64, F64], F64]

#: Sources large enough to fit on; moodme has 51 faces.
FITTED = ("ferplus", "affect", "cfee")
#: Bounds of standardised inputs, so that a face unlike all others gets no absurd temperature.
REACH = 4.0


@dataclass(eq=False)
class Answers:
    """What the network says of N faces of one source.

    Args:
        logits: (N, 8).
        features: (N, F), what enters the last layer.
        class_ids: int64 (N,).
    """

    logits: F64
    features: F64
    class_ids: NDArray[np.int64]

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Answers:
        return Answers(self.logits[chosen], self.features[chosen], self.class_ids[chosen])


def entropy(logits: F64) -> F64:
    """Returns the entropy (N,) of the answers."""
    probs = softmax(logits)
    out: F64 = -(probs * np.log(probs + 1e-12)).sum(axis=1)
    return out


def statistics(logits: F64) -> F64:
    """Returns (N, 5): entropy, margin, largest, log of the summed exponentials, deviation."""
    top = np.sort(logits, axis=1)
    total = np.log(np.exp(logits).sum(axis=1))
    centred = top[:, -1] - logits.mean(axis=1)
    columns = [entropy(logits), top[:, -1] - top[:, -2], centred, total, logits.std(axis=1)]
    return np.stack(columns, axis=1)


def _entropy_bins(logits: F64, _: F64) -> F64:
    place = np.digitize(entropy(logits), (0.1, 0.3, 0.6, 0.9, 1.2, 1.5))
    out: F64 = np.eye(7)[place]
    return out


#: Name -> inputs of the temperature, and the ridge on their weights.
CANDIDATES: dict[str, tuple[Inputs, float]] = {
    "one for all": (lambda logits, _: np.zeros((len(logits), 0)), 0.0),
    "entropy in seven bins": (_entropy_bins, 1e-3),
    "margin of the first label": (lambda logits, _: statistics(logits)[:, 1:2], 1e-4),
    "log-sum-exp of the logits": (lambda logits, _: statistics(logits)[:, 3:4], 1e-4),
    "five statistics of the logits": (lambda logits, _: statistics(logits), 1e-3),
    "the logits": (lambda logits, _: logits - logits.mean(axis=1, keepdims=True), 1e-3),
    "norm of the features": (
        lambda _, features: np.linalg.norm(features, axis=1, keepdims=True), 1e-4,
    ),
    "the features, ridge 0.1": (lambda _, features: features, 0.1),
    "the features, ridge 0.01": (lambda _, features: features, 0.01),
}  # fmt: skip


def fit(parts: list[Answers], inputs: Inputs, ridge: float) -> Callable[[Answers], F64]:
    """Fits a temperature, sources weighing the same; returns what gives probabilities (N, 8)."""
    x = np.concatenate([inputs(part.logits, part.features) for part in parts])
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    scaled = torch.from_numpy((x - mean) / spread)
    logits = torch.from_numpy(np.concatenate([part.logits for part in parts]))
    class_ids = torch.from_numpy(np.concatenate([part.class_ids for part in parts]))
    n = [len(part.class_ids) for part in parts]
    share = torch.from_numpy(np.concatenate([np.full(k, 1 / k / len(n)) for k in n]))
    w = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([w, b], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        cooled = logits * torch.exp(-(scaled @ w + b))[:, None]
        terms = functional.cross_entropy(cooled, class_ids, reduction="none")
        total = (terms * share).sum() + ridge * w.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)
    weight, bias = w.detach().numpy(), b.detach().numpy()

    def probabilities(part: Answers) -> F64:
        values = (inputs(part.logits, part.features) - mean) / spread
        log_temperature = np.clip(values, -REACH, REACH) @ weight + bias
        return softmax(part.logits * np.exp(-log_temperature)[:, None])

    return probabilities


def score_halves(
    answers: dict[str, Answers], candidate: tuple[Inputs, float], seeds: int, *, aside: bool
) -> F64:
    """Returns (seeds, sources, 2): ECE and loss on the halves that were left out.

    Args:
        answers: By source.
        candidate: See :data:`CANDIDATES`.
        seeds: How many times to halve.
        aside: Leave the scored source out of those fitted on.
    """
    found = np.zeros((seeds, len(SOURCES), 2))
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        fits = {
            name: rng.permutation(len(part.class_ids)) >= len(part.class_ids) // 2
            for name, part in answers.items()
        }
        known = {}
        for k, name in enumerate(SOURCES):
            on = tuple(other for other in FITTED if not aside or other != name)
            if on not in known:
                known[on] = fit([answers[n][fits[n]] for n in on], *candidate)
            rest = answers[name][~fits[name]]
            probs = known[on](rest)
            own = probs[np.arange(len(probs)), rest.class_ids]
            found[seed, k] = ece(probs, rest.class_ids), -np.log(own + 1e-12).mean()
    return found


def row(name: str, found: F64, first: F64) -> str:
    """Returns a line: ECE by source, their mean, and how it and the loss differ from the first."""
    difference = (found - first).mean(axis=1)
    low, high = np.quantile(difference[:, 0], (0.025, 0.975))
    cells = " | ".join(f"{value:.3f}" for value in found[..., 0].mean(axis=0))
    return (
        f"| {name} | {cells} | {found[..., 0].mean():.3f} | {difference[:, 0].mean():+.3f} "
        f"({low:+.3f} to {high:+.3f}) | {difference[:, 1].mean():+.3f} |"
    )


def error_by_chance(probs: F64, rounds: int = 200) -> float:
    """Returns the mean ECE of a perfectly calibrated model with these probabilities (N, K)."""
    rng = np.random.default_rng(0)
    drawn = [(probs.cumsum(axis=1) > rng.random((len(probs), 1))) for _ in range(rounds)]
    return float(np.mean([ece(probs, one.argmax(axis=1)) for one in drawn]))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="mienet_s.faces8")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    folder = read_model_folder(args.model)
    network = build("mienet_s").eval()
    load_weights(network, folder.path / WEIGHTS)
    kept: list[NDArray[np.float32]] = []
    network.head.register_forward_pre_hook(  # type: ignore[union-attr, operator]
        lambda _, given: kept.append(given[0].numpy())
    )
    answers = {}
    for name, part in read_validation(args.data).items():
        crops, p = crops_of(part, folder.config.preprocessing), folder.config.preprocessing
        kept.clear()
        logits = logits_of(network, crops, p).astype(np.float64)
        features = np.concatenate(kept).astype(np.float64)
        answers[name] = Answers(logits, features, part.class_ids)
    for name in SOURCES:
        probs = softmax(answers[name].logits / folder.config.temperature)
        error = ece(probs, answers[name].class_ids)
        print(
            f"{name}: ECE {error:.3f}, of a perfect model {error_by_chance(probs):.3f}", flush=True
        )
    for aside in (False, True):
        print("scored source left out" if aside else "other halves of all sources")
        first = score_halves(answers, CANDIDATES["one for all"], args.seeds, aside=aside)
        for name, candidate in CANDIDATES.items():
            found = score_halves(answers, candidate, args.seeds, aside=aside)
            print(row(name, found, first), flush=True)


if __name__ == "__main__":
    main()
