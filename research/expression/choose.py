"""Prints what each smoothing of the prior gives, for choosing ``--strength`` and ``--smoothing``.

``python -m research.expression.choose --data ../shared/data`` scores the weights that ``bundle.py``
would take, in float32. For each smoothing one random half of every source's validation faces
chooses the strength: of those that keep FER+'s accuracy at the floor the one with the highest mean
over sources; it is scored on that half, on the other one and on all. Then each choice is compared
with the prior given by ``--against``, in pairs, over faces drawn anew within their labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from research.expression.ablate import draws, resampled
from research.expression.bundle import (
    HERE,
    SOURCES,
    crops_of,
    halves,
    log_prior,
    logits_of,
    mixed_weights,
)
from research.expression.evaluate import natural_shares, read_validation, recalls
from research.expression.networks import build
from research.expression.sources import LABELS

from mien.hub import WEIGHTS, read_model_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Masks = dict[str, NDArray[np.bool_]]

STRENGTHS = np.arange(0.3, 2.0, 0.025)
SMOOTHINGS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6)
HARD = [LABELS.index(label) for label in ("anger", "disgust", "fear")]
DRAWS = 2000


class Score(NamedTuple):
    """Percentages of one prior: FER+'s accuracy, mean recalls, their mean, hard labels' recall."""

    accuracy: float
    by_source: dict[str, float]
    mean: float
    hard: float

    def __str__(self) -> str:
        sources = "  ".join(f"{name} {value:.1f}" for name, value in self.by_source.items())
        return f"FER+ {self.accuracy:.1f}  mean {self.mean:.1f}  hard {self.hard:.1f}  ({sources})"


class Answers:
    """What one network says of all validation faces.

    Args:
        logits: Source -> (N, 8), without prior.
        class_ids: Source -> int64 (N,).
    """

    def __init__(self, logits: dict[str, F64], class_ids: dict[str, NDArray[np.int64]]) -> None:
        self.logits, self.class_ids = logits, class_ids
        self._counts = {name: draws(ids, DRAWS) for name, ids in class_ids.items()}

    def score(self, prior: F64, part: Masks | None = None) -> Score:
        """Scores a prior (8,), as logarithms, on a part of the faces or on all."""
        by_source, hard, accuracy = {}, [], 0.0
        for name in SOURCES:
            chosen = slice(None) if part is None else part[name]
            logits, ids = self.logits[name][chosen] + prior, self.class_ids[name][chosen]
            found = recalls(logits, ids)
            by_source[name] = 100 * float(np.mean(list(found.values())))
            hard += [found[label] for label in HARD if label in found]
            if name == "ferplus":
                accuracy = 100 * float((logits.argmax(axis=1) == ids).mean())
        return Score(
            accuracy,
            by_source,
            float(np.mean(list(by_source.values()))),
            100 * float(np.mean(hard)),
        )

    def difference(self, prior: F64, against: F64) -> F64:
        """Returns (DRAWS, 5): points by which mean recalls of the sources, and their mean, rise."""
        columns = []
        for name in SOURCES:
            ids = self.class_ids[name]
            now, before = (
                resampled((self.logits[name] + p).argmax(axis=1) == ids, ids, self._counts[name])
                for p in (prior, against)
            )
            columns.append(100 * (now - before)[1:])  # the first is the faces as they are
        return np.stack([*columns, np.mean(columns, axis=0)], axis=1)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", type=Path, default=HERE / "weights" / "end.safetensors")
    parser.add_argument("--start", default="mienet_s.ferplus8", help="Folder or bundled name.")
    parser.add_argument("--mix", type=float, default=1.0)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--floor", type=float, default=86.4, help="FER+'s accuracy in percent.")
    parser.add_argument("--on-all", action="store_true", help="Choose on all faces, not on half.")
    parser.add_argument("--against", type=float, nargs=2, default=(0.7, 0.15), metavar="NUMBER",
                        help="Strength and smoothing to compare with.")  # fmt: skip
    args = parser.parse_args()
    start, shares = read_model_folder(args.start), natural_shares(args.data)
    network = build("mienet_s").eval()
    weights = mixed_weights(args.student, start.path / WEIGHTS, shares, args.mix)
    network.load_state_dict(weights, strict=False)
    torch.set_grad_enabled(mode=False)
    parts, preprocessing = read_validation(args.data), start.config.preprocessing
    answers = Answers(
        {n: logits_of(network, crops_of(parts[n], preprocessing), preprocessing).astype(float)
         for n in SOURCES},
        {name: parts[name].class_ids for name in SOURCES},
    )  # fmt: skip
    fits = halves({name: part.class_ids for name, part in parts.items()})
    chooses: Masks = {name: ~mask for name, mask in fits.items()}
    against = args.against[0] * log_prior(shares, args.against[1])
    print(
        f"against {args.against}: {answers.score(against)}\n"
        f"  other half: {answers.score(against, fits)}"
    )
    for smoothing in SMOOTHINGS:
        logs = log_prior(shares, smoothing)
        scored = {
            strength: answers.score(strength * logs, None if args.on_all else chooses)
            for strength in STRENGTHS.tolist()
        }
        kept = [strength for strength in scored if scored[strength].accuracy >= args.floor]
        if not kept:
            print(f"smoothing {smoothing:g}: no strength keeps FER+ at {args.floor:g} %")
            continue
        best = max(kept, key=lambda strength: scored[strength].mean)
        print(f"smoothing {smoothing:g}, strength {best:g}: {answers.score(best * logs)}")
        if not args.on_all:
            print(f"  chose: {scored[best]}\n  other half: {answers.score(best * logs, fits)}")
        rise = answers.difference(best * logs, against)
        low, high = np.percentile(rise, [2.5, 97.5], axis=0)
        names = (*SOURCES, "mean")
        cells = [
            f"{name} {middle:+.1f} ({least:+.1f} to {most:+.1f})"
            for name, middle, least, most in zip(names, rise.mean(axis=0), low, high, strict=True)
        ]
        print(f"  rise: {'  '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
