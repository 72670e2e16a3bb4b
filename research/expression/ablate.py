"""What each option that closes a shortcut gives: the same short training without it.

``python -m research.expression.ablate --faces runs/faces --out runs/ablate --steps 300`` trains
row 14's network for so many steps on all sources, once with every option, once without each, and
once more with every option and another seed, and prints accuracy and balanced accuracy by source.
Every arm has the same start and steps, on one thread in bfloat16 (about 115 faces per second). An
arm whose logits stand in ``--out`` is not trained again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from research.expression.bank import SourceFaces, load_bank, natural_prior
from research.expression.batches import Batches, Mixture
from research.expression.fitting import FitSettings, fit
from research.expression.further import LABEL_WEIGHTS, WEIGHTS, read_answers
from research.expression.networks import build, load_weights
from research.expression.recipe import STUDENT_SHARES
from research.expression.scoring import MEAN_OF, predict, validation_sets
from research.expression.views import Geometry

from mien.hub import WEIGHTS as NETWORK
from mien.hub import read_model_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

#: Strengths of FER+'s natural prior among which arms are brought to one accuracy on FER+.
STRENGTHS = np.linspace(-0.6, 1.2, 73)
#: That accuracy.
FERPLUS = 0.86
#: What is scored: the four sources, and faces with other surroundings or framing than theirs.
SETS = (*MEAN_OF, "affect_filled", "ferplus_framed", "cfee_framed")


@dataclass(frozen=True)
class Arm:
    """One training.

    Args:
        geometry: What differs from :class:`Geometry`.
        adjusted: Whether the loss of each source is adjusted by its class shares.
        seed: Of everything.
    """

    geometry: dict[str, Any] = field(default_factory=dict)
    adjusted: bool = True
    seed: int = 0


ARMS = {
    "all options": Arm(),
    # Black stays about faces that are cut out, and borders are repeated about the others.
    "no backgrounds": Arm({"black": 1.0, "fill": 0.0}),
    "no ovals": Arm({"cut": 0.0}),
    "no framing jitter": Arm({"zoom": (1.0, 1.0), "wide": 0.0, "shift": 0.0, "stretch": 0.0}),
    "no logit adjustment": Arm(adjusted=False),
    "all options, another seed": Arm(seed=1),
}


def train_arm(
    arm: Arm, sources: dict[str, SourceFaces], natural: Tensor, settings: FitSettings
) -> torch.nn.Module:
    """Trains row 14's network on; without adjustment its own prior stays in it, as it was."""
    torch.manual_seed(arm.seed)
    if not arm.adjusted:
        nothing = torch.zeros_like(natural)
        sources = {name: replace(faces, log_prior=nothing) for name, faces in sources.items()}
    mixture = Mixture(STUDENT_SHARES, LABEL_WEIGHTS, {"affect": 0.08}, mixup=0.2)
    batches = Batches(sources, mixture, 128, geometry=Geometry(**arm.geometry))
    network = build("mienet_s")
    load_weights(network, read_model_folder("mienet_s.ferplus8").path / NETWORK)
    if arm.adjusted:
        with torch.no_grad():
            network.head.bias -= natural  # type: ignore[operator, union-attr]

    def tick(_network: torch.nn.Module, progress: float) -> None:
        print(f"  {progress:.0%}", flush=True)

    average, report = fit(network, batches, 48, settings, tick)
    print(f"  {report.faces} faces, {report.rate:.0f} per second, {report.losses}", flush=True)
    return average


def resampled(
    hits: NDArray[np.bool_], class_ids: NDArray[np.int64], counts: list[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Returns balanced accuracy (R,) over R draws of the faces of each label, with replacement.

    Args:
        hits: (N,), whether each face is read right.
        class_ids: (N,).
        counts: For each label in order, (R, faces of it): how often a draw holds each face.
    """
    recalls = [
        (count @ hits[class_ids == label]) / count.shape[1]
        for label, count in zip(np.unique(class_ids), counts, strict=True)
    ]
    return np.mean(recalls, axis=0)


def draws(class_ids: NDArray[np.int64], rounds: int = 1000) -> list[NDArray[np.int64]]:
    """Draws the faces of each label anew, the same for every arm; the first is the faces as is."""
    rng = np.random.default_rng(0)
    result = []
    for n in np.unique(class_ids, return_counts=True)[1]:
        count = rng.multinomial(n, np.full(n, 1 / n), size=rounds)
        result.append(np.concatenate([np.ones((1, n), np.int64), count]))
    return result


def table(
    logits: dict[str, dict[str, NDArray[np.float32]]],
    class_ids: dict[str, NDArray[np.int64]],
    prior: NDArray[np.float32],
) -> list[str]:
    """Returns lines: arms by set, each at the prior that brings FER+ nearest to 86 %.

    The last columns are the mean of the four sources, and its difference to the first arm with the
    95 % interval over faces (the same draws of faces for both).
    """
    names = list(class_ids)
    lines = [
        f"| arm | strength | FER+ accuracy | {' | '.join(names)} | mean of four | difference |"
    ]
    lines.append("|---" * (len(names) + 5) + "|")
    chance = {name: draws(ids) for name, ids in class_ids.items()}
    first: NDArray[np.float64] | None = None
    for arm, values in logits.items():

        def hits(name: str, power: float, values: Any = values) -> NDArray[np.bool_]:
            right: NDArray[np.bool_] = (values[name] + power * prior).argmax(1) == class_ids[name]
            return right

        strength = min(STRENGTHS, key=lambda s: abs(hits("ferplus", s).mean() - FERPLUS))
        found = {n: resampled(hits(n, strength), class_ids[n], chance[n]) for n in names}
        mean = np.mean([found[n] for n in MEAN_OF], axis=0)
        first = mean if first is None else first
        low, high = np.quantile((mean - first)[1:], (0.025, 0.975))
        cells = [f"{100 * found[n][0]:.1f}" for n in names]
        lines.append(
            f"| {arm} | {strength:.3f} | {100 * hits('ferplus', strength).mean():.1f} | "
            f"{' | '.join(cells)} | {100 * mean[0]:.1f} | {100 * (mean - first)[0]:+.1f} "
            f"({100 * low:+.1f} to {100 * high:+.1f}) |"
        )
    return lines


def read_or_make(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Reads arrays from a file, or makes them and writes it."""
    if not path.is_file():
        part = path.with_suffix(".part.npz")
        np.savez(part, **make())
        part.replace(path)
    with np.load(path) as stored:
        return dict(stored)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, default=Path("runs/faces"))
    parser.add_argument("--answers", type=Path, default=WEIGHTS / "answers.npz")
    parser.add_argument("--out", type=Path, default=Path("runs/ablate"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--every-s", type=float, default=60)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    bank = load_bank(args.faces, torch.device("cpu"), class_power=0.7)
    read_answers(args.answers, bank["train"])
    natural = natural_prior(bank)
    every = validation_sets(bank, (48,))
    sets = {name: every[name] for name in SETS}
    settings = FitSettings(
        0, args.lr, warmup=0.02, every_s=args.every_s, bfloat16=True, steps=args.steps
    )
    logits = {}
    for name in args.arms:
        print(name, flush=True)

        def answer(name: str = name) -> dict[str, Any]:
            network = train_arm(ARMS[name], bank["train"], natural, settings)
            return {key: predict(network, part.views[48]).numpy() for key, part in sets.items()}

        logits[name] = read_or_make(args.out / f"{name.replace(' ', '_')}.npz", answer)
    class_ids = {name: part.class_ids.numpy() for name, part in sets.items()}
    print("\n".join(table(logits, class_ids, natural.numpy())))


if __name__ == "__main__":
    main()
