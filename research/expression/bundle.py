"""Makes the bundled model folder of a student: weights, prior, temperature, sets, scores by source.

``python -m research.expression.bundle --data ../shared/data --out src/mien/assets/mienet_s.faces8``

The weights are those of ``--student``, the mean of two mild ends of the training. ``--mix`` below 1
averages them with FER+'s own network, which began the training, prior-free both (Wortsman et al.
2022, https://arxiv.org/abs/2109.01903). ``strength`` and ``smoothing`` of the prior were taken from
what ``choose.py`` prints of all validation faces. Temperature, prediction sets and quality bounds
are fitted on one random half of every source's, on all sources together.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from research.expression.evaluate import (
    Scored,
    fit_temperature,
    natural_shares,
    read_validation,
)
from research.expression.networks import build
from safetensors.torch import load_file

from mien.conformal import fit_conformal
from mien.evaluation import Evaluation
from mien.exporting.onnx import export_onnx, halve_weights, save_weights
from mien.hub import CARD, ONNX, WEIGHTS, ModelConfig, read_model_folder, write_config
from mien.hub.card import model_card
from mien.preprocess import Preprocessing, crop_faces, normalize
from mien.priors import ClassPrior
from mien.quality import fit_quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parent
#: What validation faces are called in tables: the sources whose mean counts.
SOURCES = ("ferplus", "affect", "cfee", "moodme")


def mixed_weights(student: Path, start: Path, shares: NDArray[np.float64], mix: float) -> Any:
    """Returns ``mix`` of the student's weights and the rest of those it started from.

    Args:
        student: Prior-free.
        start: Trained on FER+ alone; its prior is taken out of the last bias.
        shares: (8,), that prior.
        mix: 0..1.
    """
    first = {key: value.float() for key, value in load_file(start).items()}
    first["head.bias"] = first["head.bias"] - torch.from_numpy(np.log(shares)).float()
    second = {key: value.float() for key, value in load_file(student).items()}
    return {key: first[key].lerp(second[key], mix) for key in first if key in second}


def log_prior(shares: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """Returns the logarithm of shares (8,), ``smoothing`` of them divided evenly."""
    held: NDArray[np.float64] = ClassPrior(tuple(shares), smoothing=smoothing).held
    return np.log(held)


def halves(class_ids: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.bool_]]:
    """Returns by source which faces calibrate (N,); the others choose. All sources, in order."""
    rng = np.random.default_rng(0)
    return {name: rng.permutation(len(ids)) >= len(ids) // 2 for name, ids in class_ids.items()}


def crops_of(part: Scored, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Cuts a source's faces out: uint8 (N, S, S, 1)."""
    pairs = zip(part.images, part.boxes, strict=True)
    return np.concatenate([crop_faces(image, [box], preprocessing) for image, box in pairs])


@torch.no_grad()
def logits_of(network: Any, crops: NDArray[np.uint8], p: Preprocessing) -> NDArray[np.float32]:
    """Maps crops to logits (N, 8)."""
    x = torch.from_numpy(normalize(crops, p))
    return np.concatenate([network(part).numpy() for part in x.split(256)])


def scores(
    config: ModelConfig, name: str, logits: NDArray[np.float32], class_ids: NDArray[np.int64]
) -> dict[str, Any]:
    """Returns the headline numbers of one source, as ``mien evaluate`` counts them."""
    labels = config.schema.labels
    evaluation = Evaluation(
        model=config.name, data=name, split="valid", labels=labels,
        keys=tuple(map(str, range(len(class_ids)))), class_ids=class_ids,
        targets=np.eye(len(labels), dtype=np.float32)[class_ids],
        probs=config.calibrated(logits), leaked=np.zeros(len(class_ids), np.bool_),
    )  # fmt: skip
    return {**evaluation.scores(), "data": name}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", type=Path, default=HERE / "weights" / "end.safetensors")
    parser.add_argument("--start", default="mienet_s.ferplus8", help="Folder or bundled name.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tag", default="faces8")
    parser.add_argument("--mix", type=float, default=1.0)
    parser.add_argument("--strength", type=float, default=1.45, help="On the logits.")
    parser.add_argument("--smoothing", type=float, default=0.45, help="Of the shares, 0..1.")
    args = parser.parse_args()
    start, shares = read_model_folder(args.start), natural_shares(args.data)
    weights = mixed_weights(args.student, start.path / WEIGHTS, shares, args.mix)
    prior = log_prior(shares, args.smoothing)
    weights["head.bias"] += torch.from_numpy(args.strength * prior).float()
    network = build("mienet_s").eval()
    network.load_state_dict(weights, strict=False)
    halve_weights(network)
    p = start.config.preprocessing
    parts = read_validation(args.data)
    crops = {name: crops_of(part, p) for name, part in parts.items()}
    class_ids = {name: part.class_ids for name, part in parts.items()}
    logits = {name: logits_of(network, value, p) for name, value in crops.items()}
    fits = halves(class_ids)
    used = [name for name in SOURCES if name in logits]
    most = ("ferplus", "affect", "cfee")
    temperature = fit_temperature(
        {n: logits[n][fits[n]].astype(float) for n in most},
        {n: class_ids[n][fits[n]] for n in most},
    )
    config = replace(
        start.config, tag=args.tag, temperature=temperature, conformal=None, quality=None,
        data="faces", metrics={}, files={},
        # Of the probabilities: the logits, the prior among them, are divided by the temperature.
        prior=ClassPrior(
            tuple((shares / shares.sum()).round(6).tolist()), args.strength / temperature,
            smoothing=args.smoothing,
        ),
    )  # fmt: skip
    mixture = np.concatenate([logits[n][fits[n]] for n in used])
    ids = np.concatenate([class_ids[n][fits[n]] for n in used])
    config = replace(
        config, conformal=fit_conformal(config.calibrated(mixture), ids),
        quality=fit_quality(np.concatenate([crops[n][fits[n]] for n in used])),
    )  # fmt: skip
    metrics = {}
    for name, values in logits.items():
        found = scores(config, name, values, class_ids[name])
        metrics["valid" if name == "ferplus" else name] = found
        rest = ~fits[name]
        ids, own = class_ids[name][rest], config.calibrated(values[rest])
        held = config.conformal.prediction_sets(own)
        right, single = own.argmax(axis=1) == ids, held.sum(axis=1) == 1
        print(
            f"{name}: other half, n {rest.sum()}: accuracy {right.mean():.3f}, coverage "
            f"{held[np.arange(len(held)), ids].mean():.3f}, single sets {single.mean():.3f}, right "
            f"among them {right[single].mean():.3f}; all {found}",
            flush=True,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    save_weights(network, args.out / WEIGHTS, half_weights=True)
    export_onnx(network, args.out / ONNX, config, half_weights=True)
    folder = write_config(args.out, replace(config, metrics=metrics))
    (args.out / CARD).write_text(model_card(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
