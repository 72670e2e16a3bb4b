"""How fast clips are read, and how much memory a long one takes.

Speed: clips of 640x360 at 25 frames per second with one to three faces, made of the bundled photo,
are read from the file to the folder of results, annotated copy included. Printed are frames and
seconds of clip per second of wall time, and the CPU time of a frame, which a busy machine changes
less; also what decoding and encoding the same clip take alone: no reader can be faster.

Memory: a clip of ``--minutes`` is read in one process, one of a minute in another, and the peak
resident sizes are compared. Usage::

    python benchmarks/video_speed.py                # about a minute on two quiet cores
    python benchmarks/video_speed.py --minutes 30   # and memory, about half an hour more
    python benchmarks/video_speed.py --against ../before/src   # two versions in turns, in one run
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from mien import EmotionRecognizer
from mien.cli.sources import SAMPLE
from mien.video import VideoConfig, read_video
from mien.video.encoding import PieceWriter
from mien.video.reading import import_av, open_clip, read_frames

FPS = 25
ROOT = Path(__file__).resolve().parents[1]


def write_walk(path: Path, faces: int, seconds: float, size: tuple[int, int]) -> Path:
    """Writes a clip in which faces sway from side to side before a soft pattern."""
    av = import_av()
    width, height = size
    with Image.open(SAMPLE) as photo:
        head = photo.convert("RGB").crop((150, 30, 310, 190))
    side = height // 3
    face = np.asarray(head.resize((side, side)))
    y, x = np.mgrid[:height, :width]
    back = np.stack([90 + 30 * np.sin(x / 40), 100 + 30 * np.sin(y / 50), 110 + 0 * x], axis=-1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(round(seconds * FPS)):
            frame = back.astype(np.uint8)
            for number in range(faces):
                centre = (number + 0.5) * width / faces
                left = int(centre - side / 2 + 0.12 * side * np.sin(index / 20 + number))
                frame[side : 2 * side, left : left + side] = face
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def copy_only(source: Path, target: Path) -> None:
    clip = open_clip(source)
    writer = PieceWriter(target, clip)
    for frame in read_frames(clip):
        writer.add(frame.image_rgb, frame.pts)
    writer.close()


def print_speed(
    folder: Path, seconds: float, rounds: int, detect_every: int, against: Path | None
) -> None:
    trees = {"this tree": ROOT / "src", **({str(against): against} if against else {})}
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} cores, load before the start {load} (1, 5, 15 minutes)")
    print(f"detection in every {detect_every}. frame; best of {rounds} rounds, the trees in turns")
    print(
        f"{'faces':>5}  {'frames/s':>8}  {'x real time':>11}  {'CPU ms/frame':>12}  {'copying':>9}"
    )
    for faces in (1, 2, 3):
        clip = write_walk(folder / f"{faces}.mp4", faces, seconds, (640, 360))
        times: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
        for number in range(rounds):
            for name, tree in trees.items():
                output = folder / f"{faces}-{number}-{len(times[name])}-{tree.parent.name}"
                command = [sys.executable, __file__, "--time-of", str(clip), str(output)]
                command += ["--detect-every", str(detect_every)]
                environment = {**os.environ, "PYTHONPATH": str(tree)}
                answer = subprocess.run(
                    command, capture_output=True, text=True, check=True, env=environment
                )
                times[name].append(json.loads(answer.stdout))
        frames = seconds * FPS
        for name, found in times.items():
            assert all(one["faces"] == faces for one in found), found
            wall, cpu, copy = (min(one[key] for one in found) for key in ("wall", "cpu", "copy"))
            print(
                f"{faces:>5}  {frames / wall:>8.0f}  {seconds / wall:>11.2f}  "
                f"{cpu / frames * 1000:>12.1f}  {copy / frames * 1000:>6.1f} ms  {name}",
                flush=True,
            )


def print_times(clip: Path, output: Path, detect_every: int) -> None:
    """Prints the seconds that a clip takes in this process, once all is imported and warm."""
    recognizer = EmotionRecognizer()
    config = VideoConfig(detect_every=detect_every)
    warm = write_walk(output.with_name(f"{output.name}-warm.mp4"), 1, 1, (640, 360))
    read_video(warm, output.with_name(f"{output.name}-warm"), recognizer=recognizer, config=config)
    wall, cpu = time.perf_counter(), time.process_time()
    result = read_video(clip, output, recognizer=recognizer, config=config)
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    cpu = time.process_time()
    copy_only(clip, output.with_suffix(".copy.mp4"))
    copy = time.process_time() - cpu
    print(json.dumps({**found, "copy": copy, "faces": len(result.summary.tracks)}))


def print_peak(clip: Path, output: Path) -> None:
    import psutil

    # Not ru_maxrss: on Linux a new process inherits the peak of the one that started it.
    process, peak = psutil.Process(), 0

    def on_progress(done: int, _: int | None) -> None:
        nonlocal peak
        if done % 25 == 0:
            peak = max(peak, process.memory_info().rss)

    read_video(clip, output, config=VideoConfig(), progress=on_progress)
    print(max(peak, process.memory_info().rss))


def print_memory(folder: Path, minutes: float) -> None:
    peaks = []
    for length in (1.0, minutes):
        clip = write_walk(folder / f"{length:g}-minutes.mp4", 1, 60 * length, (320, 180))
        command = [sys.executable, __file__, "--peak-of", str(clip), str(folder / f"m{length:g}")]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(answer.stdout) / 2**20)
        print(f"{length:g} minute(s): peak {peaks[-1]:.0f} MiB")
    print(f"ratio: {peaks[1] / peaks[0]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--detect-every", type=int, default=VideoConfig().detect_every)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--against", type=Path, help="the src of another version of mien")
    parser.add_argument("--peak-of", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--time-of", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print_peak(*arguments.peak_of)
        return
    if arguments.time_of:
        print_times(*arguments.time_of, arguments.detect_every)
        return
    with tempfile.TemporaryDirectory(prefix="mien-video-") as folder:
        print_speed(
            Path(folder), arguments.seconds, arguments.rounds, arguments.detect_every,
            arguments.against,
        )  # fmt: skip
        if arguments.minutes:
            print_memory(Path(folder), arguments.minutes)


if __name__ == "__main__":
    main()
