"""What an explanation costs next to a prediction, both of the same decoded photo, in turns.

Usage: ``python benchmarks/explain_cost.py PHOTO [PHOTO...]``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from mien import EmotionRecognizer
from mien.explanation import explain, read_image
from mien.images import decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--detector", default=None)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    options = {"detector": arguments.detector} if arguments.detector else {}
    recognizer = EmotionRecognizer(**options)
    for photo in arguments.photos:
        image_rgb = decode(photo)
        sides = {
            "predict": lambda image=image_rgb: recognizer.predict(image),
            "map as numbers": lambda image=image_rgb: read_image(recognizer, image).maps(
                recognizer
            ),
            "map painted": lambda image=image_rgb: explain(image, recognizer, boxes=False),
            "map painted, box and label": lambda image=image_rgb: explain(image, recognizer),
        }
        times: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(arguments.rounds + 3):
            for name, run in sides.items():
                start = time.perf_counter()
                run()
                if number >= 3:  # the first rounds warm up
                    times[name].append((time.perf_counter() - start) * 1000)
        faces = len(recognizer.predict(image_rgb).faces)
        height, width = image_rgb.shape[:2]
        bare = statistics.median(times["predict"])
        print(
            f"{photo.name}: {width}x{height}, {faces} face(s), {recognizer.pipeline.detector.name}"
        )
        for name, values in times.items():
            pairs = [one / two for one, two in zip(values, times["predict"], strict=True)]
            extra = statistics.median(pairs) - 1
            print(f"  {name}: {statistics.median(values):.2f} ms ({extra:+.1%} of {bare:.2f} ms)")


if __name__ == "__main__":
    main()
