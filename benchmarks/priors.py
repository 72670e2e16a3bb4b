"""What estimated shares of labels gain, on faces of FER+ valid drawn anew by other shares.

    python benchmarks/priors.py ferplus:../shared/data/ferplus

prints the table of ``docs/evaluate.md``: means and standard deviations of 20 draws, seed 0. The
labels are those of FER2013, without contempt, where the shares are made up.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from mien import EmotionRecognizer
from mien.data import read_manifest
from mien.evaluation import evaluate
from mien.labels import FER7
from mien.priors import estimate_shares, reweigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
DRAWS = 20
SEVEN = dict.fromkeys(FER7.labels, 1 / 7)
SAD = {**dict.fromkeys(FER7.labels, 0.05), "sadness": 0.4, "anger": 0.35}
CASES = (
    ("seven labels alike", SEVEN, 100),
    ("seven labels alike", SEVEN, 300),
    ("40 % sadness, 35 % anger", SAD, 300),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", help="labelled faces, ferplus:DIR")
    parser.add_argument("-m", "--model", default="mienet_s.ferplus8")
    given = parser.parse_args()
    recognizer = EmotionRecognizer(given.model, detector="none")
    evaluation = evaluate(recognizer, read_manifest(given.faces))
    prior = recognizer.config.prior
    if prior is None:
        raise SystemExit(f"error: {given.model} does not know what it learned from")
    probs, truth = np.asarray(evaluation.probs, np.float64), evaluation.class_ids
    print("| shares | faces | accuracy as shipped | shares estimated | true shares |")
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for name, shares, count in CASES:
        wanted = np.array([shares.get(label, 0.0) for label in recognizer.labels])
        scores = [_scores(probs, truth, prior.answered, wanted, count, rng) for _ in range(DRAWS)]
        cells = [f"{m:.1f} ± {s:.1f} %" for m, s in zip(*_spread(scores), strict=True)]
        print(f"| {name} | {count} | {' | '.join(cells)} |")
    own = estimate_shares(probs, prior.answered)
    moved = reweigh(probs, prior.answered, np.array(own))
    cells = [f"{100 * np.mean(p.argmax(axis=1) == truth):.1f} %" for p in (probs, moved)]
    print(f"| as in FER+ | {len(truth):,} | {' | '.join(cells)} | |")


def _scores(
    probs: F64, truth: NDArray[np.int64], held: F64, wanted: F64, count: int,
    rng: np.random.Generator,
) -> list[float]:  # fmt: skip
    """Returns the accuracies of a draw: as shipped, with estimated and with the true shares."""
    labels = rng.choice(len(wanted), count, p=wanted)
    rows = np.array([rng.choice(np.flatnonzero(truth == label)) for label in labels])
    drawn = probs[rows]
    answers = (
        drawn,
        reweigh(drawn, held, np.array(estimate_shares(drawn, held))),
        reweigh(drawn, held, np.maximum(wanted, 1e-4)),
    )
    return [float(np.mean(answer.argmax(axis=1) == labels)) for answer in answers]


def _spread(scores: list[list[float]]) -> tuple[F64, F64]:
    """Returns mean and standard deviation of each column, in percent."""
    values = 100 * np.array(scores)
    return values.mean(axis=0), values.std(axis=0, ddof=1)


if __name__ == "__main__":
    main()
