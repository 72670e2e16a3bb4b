"""mien and the tools that a user would pick instead, each in its own environment, in turns.

Usage: ``python benchmarks/peers/run.py --photos DIR --faces ferplus:DIR -o OUT.json``. The
environments lie in ``--work`` (``out/peers``) and are kept for the next run; that of fer takes
about 8 GB. ``--only mien,deepface`` leaves peers out.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from accuracy import compare_labels, load_common_faces
from environments import build_wheel, make_environment, run, sizes, versions
from PIL import Image

from mien import EmotionRecognizer
from mien.atomic import write_text
from mien.benchmarking.machine import describe_machine
from mien.benchmarking.processes import run_fresh
from mien.benchmarking.timing import Spread
from mien.errors import MienError
from mien.hub import ASSETS
from mien.images import decode, list_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SIZE = (640, 480)
#: Crops of one call when the throughput is measured.
CROPS = 32
_NAMED = ("mien", "fer", "tensorflow", "torch", "onnxruntime", "numpy", "opencv-contrib-python",
          "setuptools", "pillow")  # fmt: skip


@dataclass
class Peer:
    """A tool in its environment, and what was measured of it, by turn.

    Args:
        name: What it is called in the JSON.
        command: Its Python and its runner.
        options: What the runner is told besides.
        facts: What else the JSON says of it.
    """

    name: str
    command: list[str]
    options: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    starts_s: list[float] = field(default_factory=list)
    peaks_mb: list[float] = field(default_factory=list)
    photos_ms: list[list[float]] = field(default_factory=list)
    crops: list[list[float]] = field(default_factory=list)

    def turn(self, photo: Path, faces: Path, repeats: int, *, counts: bool) -> None:
        """Runs two fresh processes: one for the first answer, one for the steady state."""
        first = run_fresh([*self.command, "first", str(photo), *self.options])
        if not counts:
            self.facts["first_answer"] = first.answer
            return
        self.starts_s.append(first.start_s)
        self.peaks_mb.append((first.peak_bytes or 0) / 1e6)
        count = ["--repeats", str(repeats)]
        text = run([*self.command, "steady", str(photo), str(faces), *self.options, *count])
        answer = json.loads(text.strip().splitlines()[-1])
        self.facts["answers"] = answer["answers"]
        self.photos_ms.append(answer["photo_ms"])
        self.crops.append(answer["crops_per_second"])

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.facts,
            "start_s": Spread.of(self.starts_s).to_dict(),
            "peak_mb": Spread.of(self.peaks_mb).to_dict(),
            "photo_ms": Spread.of(np.concatenate(self.photos_ms)).to_dict(),
            "crops_per_second": Spread.of(np.concatenate(self.crops)).to_dict(),
        }


def main() -> None:
    given = _arguments()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    photo, source = make_photo(given.photos, work / "photo.jpg")
    common = load_common_faces(given.faces) if given.faces else None
    faces = work / "crops.npy"
    np.save(faces, _crops(photo) if common is None else common[0][:CROPS])
    peers = make_peers(work, given.only.split(",") if given.only else None)
    for number in range(given.turns + 1):
        for peer in peers:
            print(f"turn {number} of {given.turns}: {peer.name}", flush=True)
            peer.turn(photo, faces, given.repeats, counts=number > 0)
    value = {
        "format": 1,
        "kind": "peers",
        "machine": machine,
        "settings": {"turns": given.turns, "repeats": given.repeats, "crops": CROPS},
        "photo": {"source": source, "width": SIZE[0], "height": SIZE[1]},
        "peers": {peer.name: peer.to_dict() for peer in peers},
        "ratios": ratios(peers),
        "accuracy": None,
    }
    if common is not None:
        value["accuracy"] = _accuracy(peers, common, work / "faces.npy", given.faces)
    value["targets"] = targets(value)
    write_text(given.output, json.dumps(value, indent=2) + "\n")
    for target in value["targets"]:
        print(f"{'met' if target['met'] else 'MISSED'}: {target['what']}: {target['found']}")
    print(f"wrote {given.output}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder with a photo of one face")
    parser.add_argument("--faces", help="labelled faces, ferplus:DIR")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=60, help="photos per turn")
    parser.add_argument("--only", help="names of peers, with commas")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "peers")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


def make_photo(folder: Path | None, target: Path) -> tuple[Path, str]:
    """Writes the first photo of a folder that shows one face as 640x480, the face inside.

    Returns:
        The file, and the name of what it was made of.
    """
    sample = ASSETS / "sample" / "astronaut.jpg"
    recognizer = EmotionRecognizer()
    for path in [*(list_images(folder) if folder else []), sample]:
        faces = recognizer.predict(path).faces
        if len(faces) != 1:
            continue
        image = Image.fromarray(decode(path))
        factor = max(SIZE[0] / image.width, SIZE[1] / image.height)
        size = round(image.width * factor), round(image.height * factor)
        x1, y1, x2, y2 = (factor * value for value in faces[0].box_xyxy)
        left = int(np.clip((x1 + x2 - SIZE[0]) / 2, 0, size[0] - SIZE[0]))
        top = int(np.clip((y1 + y2 - SIZE[1]) / 2, 0, size[1] - SIZE[1]))
        cut = image.resize(size, Image.Resampling.LANCZOS)
        cut.crop((left, top, left + SIZE[0], top + SIZE[1])).save(target, quality=92)
        if len(recognizer.predict(target).faces) == 1:
            return target, path.name
    raise SystemExit(f"no photo with one face in {folder}")


def make_peers(work: Path, only: list[str] | None) -> list[Peer]:
    """Makes the environments and the stand-ins."""
    settings = tomllib.loads((HERE / "peers.toml").read_text())
    wheel = build_wheel(ROOT, work / "dist")
    python = make_environment(work / "mien", [f"mien @ {wheel.as_uri()}"])
    command = [str(python), str(HERE / "runner_mien.py")]
    facts = {**sizes(python, []), "versions": versions(python, _NAMED)}
    peers = [Peer("mien", command, facts=facts)]
    if only is None or "fer" in only:
        python = make_environment(work / "fer", settings["fer"]["install"])
        facts = {**sizes(python, settings["fer"]["optional_gpu"])}
        facts |= {"install": settings["fer"]["install"], "versions": versions(python, _NAMED)}
        peers.append(Peer("fer", [str(python), str(HERE / "runner_fer.py")], facts=facts))
    for name, entry in settings["standins"].items():
        if only is None or name in only:
            from standins import make_standin

            folder = work / "standins" / name
            facts = {"standin": make_standin(folder, entry), **package_facts(work / name, entry)}
            peers.append(Peer(name, command, ["--model", str(folder)], facts))
    return peers


def package_facts(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Returns the room of a stand-in's own package, and the seconds of its import, if it has any.

    Five fresh processes import it, after one that does not count.
    """
    python = make_environment(folder, entry["install"])
    program = f"import {entry['module']}; print('imported', flush=True); print(None)"
    command = [str(python), "-c", program]
    try:
        times = [run_fresh(command).start_s for _ in range(6)][1:]
    except MienError as error:
        return {"install": entry["install"], **sizes(python, []), "import_error": str(error)}
    return {
        "install": entry["install"],
        **sizes(python, []),
        "import_s": Spread.of(times).to_dict(),
    }


def ratios(peers: list[Peer]) -> dict[str, dict[str, Any]]:
    """Returns mien's figure over each peer's, turn by turn; below 1 mien needs less."""
    mien, *others = peers
    found = {}
    for peer in others:
        pairs = {
            "start": (mien.starts_s, peer.starts_s),
            "peak": (mien.peaks_mb, peer.peaks_mb),
            "photo": (_medians(mien.photos_ms), _medians(peer.photos_ms)),
            # Crops per second turned round, so that below 1 is better here too.
            "crop": (_medians(peer.crops), _medians(mien.crops)),
        }
        found[peer.name] = {
            name: Spread.of(a / b for a, b in zip(*pair, strict=True)).to_dict()
            for name, pair in pairs.items()
        }
    return found


def _medians(turns: list[list[float]]) -> list[float]:
    return [float(np.median(values)) for values in turns]


def targets(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the aims in comparison with fer, and what was found."""
    if "fer" not in value["peers"]:
        return []
    mien, fer, ratio = value["peers"]["mien"], value["peers"]["fer"], value["ratios"]["fer"]
    rows = [
        ("cold start, share of fer's", ratio["start"]["median"], 0.1),
        ("a photo, share of fer's", ratio["photo"]["median"], 0.25),
        ("environment on disk, share of fer's", mien["disk_mb"] / fer["disk_mb"], 0.25),
    ]
    found: list[dict[str, Any]] = [
        {"what": what, "found": round(share, 4), "aim": f"at most {aim}", "met": share <= aim}
        for what, share, aim in rows
    ]
    if value["accuracy"]:
        points = value["accuracy"]["difference_points"]
        what = "accuracy above fer's, points"
        found.append({"what": what, "found": points, "aim": "at least 15", "met": points >= 15})
    return found


def _accuracy(
    peers: list[Peer], common: tuple[NDArray[np.uint8], list[str]], file: Path, source: str
) -> dict[str, Any] | None:
    """Lets mien and fer label the same faces."""
    both = {peer.name: peer for peer in peers if peer.name in {"mien", "fer"}}
    if len(both) < 2:
        return None
    faces, truth = common
    np.save(file, faces)
    said = {}
    for name, peer in both.items():
        print(f"{len(faces)} faces: {name}", flush=True)
        text = run([*peer.command, "label", str(file)])
        said[name] = json.loads(text.strip().splitlines()[-1])
    return {"data": source.partition(":")[0], "split": "valid", **compare_labels(said, truth)}


def _crops(photo: Path) -> NDArray[np.uint8]:
    """Returns copies of the photo's face: uint8 (CROPS, 48, 48); for speed they will do."""
    found = EmotionRecognizer().pipeline.prepare(photo).crops
    return np.repeat(found[..., 0], CROPS, axis=0)[:CROPS]  # type: ignore[index]


if __name__ == "__main__":
    main()
