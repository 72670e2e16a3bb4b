"""How much of the bare stages' throughput predicting a folder keeps.

The bare side runs decode, detect and the ONNX session on the same pictures, one picture a task,
on as many threads as there are cores, with nothing around them. Both sides run in turns in one
process. Usage: ``python benchmarks/predict_folder.py PHOTO [PHOTO...]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mien import EmotionRecognizer
from mien.backends.onnx import open_session
from mien.faces import crop_box, get_detector
from mien.hub import ONNX, read_model_folder
from mien.images import decode
from mien.preprocess import to_batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--detector", default=None)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    pictures = [arguments.photos[i % len(arguments.photos)] for i in range(arguments.pictures)]
    options = {"detector": arguments.detector} if arguments.detector else {}
    recognizer = EmotionRecognizer(**options)
    folder = read_model_folder()
    detector = get_detector(arguments.detector or recognizer.detector.name)
    session = open_session(folder.file(ONNX), threads=1)
    name = session.get_inputs()[0].name

    def bare_one(path: Path) -> int:
        image_rgb = decode(path)
        boxes = detector.detect(image_rgb).boxes_xyxy
        if not len(boxes):
            return 0
        squares = [crop_box(box, detector.framing) for box in boxes]
        batch = to_batch(image_rgb, squares, folder.config.preprocessing)
        return len(session.run(["logits"], {name: batch})[0])

    def bare() -> int:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return sum(pool.map(bare_one, pictures))

    def mien() -> int:
        return sum(len(result.faces) for result in recognizer.predict_many(pictures))  # type: ignore[union-attr]

    sides = {"bare": (bare, []), "mien": (mien, [])}
    faces = {side: run() for side, (run, _) in sides.items()}  # warm-up
    assert faces["bare"] == faces["mien"], faces
    for _ in range(arguments.rounds):
        for run, speeds in sides.values():
            start = time.perf_counter()
            run()
            speeds.append(len(pictures) / (time.perf_counter() - start))
    for side, (_, speeds) in sides.items():
        print(
            f"{side}: {statistics.median(speeds):.1f} pictures/s "
            f"(from {min(speeds):.1f} to {max(speeds):.1f}, {len(speeds)} rounds, "
            f"{faces[side]} faces in {len(pictures)} pictures)"
        )
    print(f"ratio: {statistics.median(sides['mien'][1]) / statistics.median(sides['bare'][1]):.3f}")


if __name__ == "__main__":
    main()
