"""Puts an int8 network into a bundled model folder and scores it anew on every source.

``python -m research.expression.quantize small -m FOLDER --data ../shared/data``

``small`` is what ``mien export`` wrote of the model, see the README. Temperature, prediction sets
and quality bounds stay as they were fitted to the float network. FER+'s own scores come from ``mien
evaluate`` afterwards, with the corrupted faces.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from research.expression.bundle import crops_of, scores
from research.expression.evaluate import read_validation

from mien import EmotionRecognizer
from mien.hub import ONNX, read_model_folder
from mien.hub.card import write_config_and_card

INT8 = "model.int8-static.onnx"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exported", type=Path, help="Folder with the int8 network.")
    parser.add_argument("-m", "--model", type=Path, required=True, help="Folder that it goes into.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    made, folder = read_model_folder(args.exported), read_model_folder(args.model)
    shutil.copyfile(made.file(INT8), folder.path / ONNX)
    form = {key: made.config.files[INT8][key] for key in ("format", "weight_bits")}
    config = replace(folder.config, files={**folder.config.files, ONNX: form})
    folder = write_config_and_card(folder.path, config)
    pipelines = [
        EmotionRecognizer(path, detector="none", threads=1).pipeline
        for path in (folder.path, args.exported)
    ]
    metrics = dict(config.metrics)
    for name, part in read_validation(args.data).items():
        crops = crops_of(part, config.preprocessing)
        logits, floats = (pipeline.logits(crops) for pipeline in pipelines)
        probs, before = config.calibrated(logits), config.calibrated(floats)
        found = {
            key: scores(config, name, values, part.class_ids)
            for key, values in (("int8", logits), ("float", floats))
        }
        if name != "ferplus":
            metrics[name] = found["int8"]
        rows = np.arange(len(probs))
        moved = np.abs(probs - before).max(axis=1)
        sets = [config.conformal.prediction_sets(one) for one in (probs, before)]
        print(
            f"{name}: same label {(probs.argmax(1) == before.argmax(1)).mean():.3f}, a probability "
            f"moves by {moved.mean():.4f} on average, {moved.max():.3f} at most; coverage "
            f"{[round(float(one[rows, part.class_ids].mean()), 3) for one in sets]}",
            *(f"  {key} {_numbers(one)}" for key, one in found.items()),
            sep="\n", flush=True,
        )  # fmt: skip
    write_config_and_card(folder.path, replace(folder.config, metrics=metrics))


def _numbers(found: dict[str, Any]) -> str:
    return " ".join(
        f"{key} {value:.4f}" for key, value in found.items() if isinstance(value, float)
    )


if __name__ == "__main__":
    main()
