"""Scores trained weights on the original validation faces and folds the chosen prior into them.

``python -m research.expression.evaluate runs/expression/student.safetensors --data ../shared/data``
prints accuracy and balanced accuracy by source and strength of the prior, chooses the strength by
the mean over sources with FER+'s accuracy as a floor, fits one temperature on a mixture of sources
and writes ``<name>.shipped.safetensors`` (prior and nothing else folded into the last layer's bias)
and ``<name>.json`` with what was folded, so that any other prior can be put in its place.
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from research.expression.networks import SIDES, build, load_weights
from research.expression.sources import LABELS

from mien.data.readers.ferplus import VOTE_COLUMNS, majority_class, vote_targets
from mien.detectors import DEFAULT_DETECTOR, get_detector
from mien.detectors.framing import crop_box
from mien.evaluation.robustness import conditions
from mien.preprocess import Preprocessing, crop_faces, normalize

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRENGTHS = (0.0, 0.15, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 1.0)
#: FER+ accuracy below which no strength is chosen.
FLOOR = 0.875


@dataclass(eq=False)
class Scored:
    """One source's held-out faces.

    Args:
        images: N pictures, uint8 (h, w, 3).
        boxes: (N, 4), the square to read in each.
        class_ids: int64 (N,).
    """

    images: list[NDArray[np.uint8]]
    boxes: NDArray[np.float64]
    class_ids: NDArray[np.int64]


def _whole(image: NDArray[np.uint8]) -> list[float]:
    height, width = image.shape[:2]
    half = min(height, width) / 2
    return [width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half]


def _decode(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _scored(images: list[NDArray[np.uint8]], class_ids: Any, detector: Any = None) -> Scored:
    boxes = [_whole(image) for image in images]
    if detector is not None:
        for k, image in enumerate(images):
            found = detector.detect(image)
            if len(found.boxes_xyxy):
                best = int(np.argmax(found.scores))
                boxes[k] = crop_box(found.boxes_xyxy[best], detector.framing).tolist()
    return Scored(images, np.array(boxes), np.asarray(class_ids))


def read_validation(data: Path) -> dict[str, Scored]:
    """Reads the held-out faces of all sources; loose squares through mien's own detector."""
    table = pq.read_table(data / "ferplus" / "valid.parquet")
    votes = np.stack([table[name].to_numpy() for name in VOTE_COLUMNS], axis=1).astype(np.int64)
    class_ids = majority_class(votes)
    keep = np.flatnonzero(class_ids >= 0)
    images = table["image"].to_pylist()
    result = {"ferplus": _scored([_decode(images[k]["bytes"]) for k in keep], class_ids[keep])}
    table = pq.read_table(data / "faces" / "affect_valid.parquet")
    images = [_decode(row["bytes"]) for row in table["image"].to_pylist()]
    result["affect"] = _scored(images, table["label"].to_numpy())
    detector = get_detector(DEFAULT_DETECTOR, threads=1)
    for name, rule in (("cfee", "subject"), ("moodme", "fifth"), ("contempt", "tenth")):
        rows = pq.read_table(data / "faces" / f"{name}_train.parquet").to_pylist()
        if rule == "subject":
            held_out = set(sorted({row["subject_id"] for row in rows})[::5])
            chosen = [r for r in rows if r["subject_id"] in held_out and ":" not in r["source"]]
        else:
            chosen = rows[:: {"fifth": 5, "tenth": 10}[rule]]
        images = [_decode(row["image"]["bytes"]) for row in chosen]
        result[name] = _scored(images, [row["label"] for row in chosen], detector)
    return result


def natural_shares(data: Path) -> NDArray[np.float64]:
    """Returns the classes' shares (8,) among FER+'s training faces."""
    table = pq.read_table(data / "ferplus" / "train.parquet", columns=list(VOTE_COLUMNS))
    votes = np.stack([table[name].to_numpy() for name in VOTE_COLUMNS], axis=1).astype(np.int64)
    train = np.ones(len(votes), np.bool_)
    targets, keep = vote_targets(votes, majority_class(votes), train, "soft")
    share = targets[keep].mean(axis=0).astype(np.float64)
    return share / share.sum()


class Reader:
    """A network on the CPU.

    Args:
        network: Name of its architecture.
        weights: Its safetensors file.
    """

    def __init__(self, network: str, weights: Path) -> None:
        self.network = build(network)
        load_weights(self.network, weights)
        self.network.eval()
        self.preprocessing = Preprocessing(size=SIDES[network], color="gray")

    @torch.no_grad()
    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Maps crops uint8 (N, S, S, 1) to logits (N, 8)."""
        x = torch.from_numpy(normalize(crops, self.preprocessing))
        parts = [self.network(part).double().numpy() for part in x.split(256)]
        return np.concatenate(parts)

    def read(self, part: Scored) -> NDArray[np.float64]:
        """Maps a source's faces to logits (N, 8)."""
        crops = [
            crop_faces(image, [box], self.preprocessing)
            for image, box in zip(part.images, part.boxes, strict=True)
        ]
        return self.logits(np.concatenate(crops))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns probabilities by row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return out


def recalls(logits: NDArray[np.float64], class_ids: NDArray[np.int64]) -> dict[int, float]:
    """Returns each present class's recall."""
    hits = logits.argmax(axis=1) == class_ids
    return {int(k): float(hits[class_ids == k].mean()) for k in np.unique(class_ids)}


def ece(probs: NDArray[np.float64], class_ids: NDArray[np.int64], bins: int = 15) -> float:
    """Returns the expected calibration error of the top class, equal bins of confidence."""
    top, hits = probs.max(axis=1), probs.argmax(axis=1) == class_ids
    place = np.minimum((top * bins).astype(int), bins - 1)
    gaps = [
        abs(float(hits[place == k].mean() - top[place == k].mean())) * float((place == k).mean())
        for k in range(bins)
        if (place == k).any()
    ]
    return float(sum(gaps))


def fit_temperature(
    logits: dict[str, NDArray[np.float64]], class_ids: dict[str, NDArray[np.int64]]
) -> float:
    """Returns the temperature of the least loss, all sources weighing the same."""

    def loss(temperature: float) -> float:
        terms = []
        for name, values in logits.items():
            probs = softmax(values / temperature)[np.arange(len(values)), class_ids[name]]
            terms.append(-np.log(np.maximum(probs, 1e-12)).mean())
        return float(np.mean(terms))

    grid = np.exp(np.linspace(np.log(0.4), np.log(2.5), 101))
    return float(min(grid, key=loss))


def report(weights: Path, network: str, data: Path, *, robust: bool) -> dict[str, Any]:
    """Scores weights, chooses the prior's strength, fits a temperature; see the module."""
    reader, parts = Reader(network, weights), read_validation(data)
    shares = natural_shares(data)
    prior = np.log(shares)
    logits = {name: reader.read(part) for name, part in parts.items()}
    class_ids = {name: part.class_ids for name, part in parts.items()}
    rows: dict[str, Any] = {}
    for strength in STRENGTHS:
        row: dict[str, Any] = {}
        for name, values in logits.items():
            by_class = recalls(values + strength * prior, class_ids[name])
            hits = (values + strength * prior).argmax(axis=1) == class_ids[name]
            row[name] = [float(hits.mean()), float(np.mean(list(by_class.values())))]
            row[f"{name}_recalls"] = {LABELS[k]: round(v, 3) for k, v in by_class.items()}
        four = ("ferplus", "affect", "cfee", "moodme")
        row["mean"] = float(np.mean([row[name][1] for name in four]))
        row["hard"] = _hard_recall(row, four)
        rows[f"{strength:g}"] = row
    allowed = [s for s in rows if rows[s]["ferplus"][0] >= FLOOR] or list(rows)[-1:]
    chosen = max(allowed, key=lambda s: rows[s]["mean"])
    shipped = {name: values + float(chosen) * prior for name, values in logits.items()}
    rng = np.random.default_rng(0)
    halves = {name: rng.permutation(len(v)) < len(v) // 2 for name, v in class_ids.items()}
    four = ("ferplus", "affect", "cfee")
    temperature = fit_temperature(
        {n: shipped[n][halves[n]] for n in four}, {n: class_ids[n][halves[n]] for n in four}
    )
    errors = {
        name: ece(
            softmax(shipped[name][~halves[name]] / temperature), class_ids[name][~halves[name]]
        )
        for name in shipped
    }
    result = {
        "weights": weights.name, "network": network, "labels": LABELS,
        "natural_shares": shares.tolist(), "strength": float(chosen), "temperature": temperature,
        "ece": errors, "rows": rows,
    }  # fmt: skip
    if robust:
        result["robustness"] = robustness(reader, parts["ferplus"], float(chosen) * prior)
    return result


def _hard_recall(row: dict[str, Any], names: tuple[str, ...]) -> float:
    """Mean recall of anger, disgust and fear over the sources that have them."""
    values = [
        row[f"{name}_recalls"][label]
        for name in names
        for label in ("anger", "disgust", "fear")
        if label in row[f"{name}_recalls"]
    ]
    return float(np.mean(values))


def robustness(reader: Reader, part: Scored, bias: NDArray[np.float64]) -> dict[str, float]:
    """Scores 800 faces under mien's grid: accuracy by condition and severity, and the mean."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(part.class_ids))[:800])
    images = [part.images[k] for k in chosen]
    result: dict[str, float] = {}
    grid = []
    for name, severity, _, crops in conditions(images, reader.preprocessing, 0):
        hits = (reader.logits(crops) + bias).argmax(axis=1) == part.class_ids[chosen]
        result[f"{name} {severity}".strip()] = float(hits.mean())
        if severity:
            grid.append(float(hits.mean()))
    result["mean of the grid"] = float(np.mean(grid))
    return result


def ship(weights: Path, result: dict[str, Any], out: Path) -> None:
    """Writes the weights with the chosen prior folded into the last layer's bias."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    prior = np.log(np.array(result["natural_shares"])) * result["strength"]
    tensors["head.bias"] = tensors["head.bias"] + torch.from_numpy(prior).float()
    save_file(tensors, out)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--network", default="mienet_s", choices=sorted(SIDES))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--robustness", action="store_true")
    args = parser.parse_args()
    result = report(args.weights, args.network, args.data, robust=args.robustness)
    stem = args.weights.with_suffix("")
    Path(f"{stem}.json").write_text(json.dumps(result, indent=1))
    ship(args.weights, result, Path(f"{stem}.shipped.safetensors"))
    for strength, row in result["rows"].items():
        cells = [
            f"{k} {100 * row[k][0]:.1f}/{100 * row[k][1]:.1f}"
            for k in row
            if isinstance(row[k], list)
        ]
        print(
            f"{strength:>5}  mean {100 * row['mean']:.1f}  hard {row['hard']:.2f}  "
            + "  ".join(cells)
        )
    print({key: result[key] for key in ("strength", "temperature", "ece")})


if __name__ == "__main__":
    main()
