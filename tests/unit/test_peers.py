"""The peers' benchmark: its arithmetic, its runners and the page, without any peer installed."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mien.benchmarking import BenchmarkConfig, run_benchmark
from mien.benchmarking.processes import run_fresh
from mien.cli.sources import SAMPLE
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS = ROOT / "benchmarks" / "peers"
NAMES = ("accuracy", "environments", "page", "protocol", "run", "standins", "train")


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a script of the folder by name, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(PEERS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in NAMES:
            del sys.modules[name]


def test_lead_and_its_interval_by_hand(peers: Any) -> None:
    truth = ["fear"] * 6 + ["anger"] * 4
    mien = ["fear"] * 6 + ["anger"] * 3 + ["sadness"]  # 9 right
    fer = ["fear"] * 3 + ["anger"] * 7  # 7 right
    found = peers("accuracy").compare_labels({"mien": mien, "fer": fer}, truth)
    assert found["tools"]["mien"]["accuracy"] == 0.9
    assert found["tools"]["fer"]["recall"] == {"anger": 1.0, "fear": 0.5}
    assert found["only_right"] == {"mien": 3, "fer": 1}
    assert found["difference_points"] == 20
    # sqrt(3 + 1 - 2^2 / 10) / 10 = 0.18974; times 1.96 = 37.19 points.
    assert found["difference_ci"] == pytest.approx([20 - 37.19, 20 + 37.19], abs=0.01)
    assert found["faces_by_label"]["fear"] == 6


def test_disk_space_counts_files_once(peers: Any, tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "torch").mkdir(parents=True)
    (packages / "torch" / "a.so").write_bytes(b"x" * 3_000_000)
    (packages / "cv2.so").write_bytes(b"x" * 1_000_000)
    (packages / "link.so").symlink_to(packages / "cv2.so")
    (tmp_path / "bin").mkdir()
    found = peers("environments").sizes(tmp_path / "bin" / "python", ["torch"])
    assert found == {"disk_mb": 4.0, "disk_mb_without_optional": 1.0}


def test_failed_command_says_why(peers: Any) -> None:
    with pytest.raises(SystemExit, match=r"failed \(3\):\nno wheel"):
        peers("environments").run(
            [sys.executable, "-c", "import sys; print('no wheel', file=sys.stderr); sys.exit(3)"]
        )


def test_fer_runner_reads_scores_before_they_are_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in with fer's methods: rounded to two digits, both classes would tie.
    package = tmp_path / "fer"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "fer.py").write_text(
        "import numpy as np\n"
        "class FER:\n"
        "    def __init__(self, offsets=(10, 10)): self.offsets = offsets\n"
        "    def _classify_emotions(self, faces):\n"
        "        return np.array([[.331, 0, 0, .334, .335, 0, 0]] * len(faces))\n"
        "    def detect_emotions(self, image, face_rectangles=((0, 0, 4, 4),)):\n"
        "        scores = self._classify_emotions([image for _ in face_rectangles])\n"
        "        names = 'angry disgust fear happy sad surprise neutral'.split()\n"
        "        return [{'emotions': dict(zip(names, np.round(s, 2)))} for s in scores]\n"
    )
    faces = tmp_path / "faces.npy"
    np.save(faces, np.zeros((2, 48, 48), np.uint8))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    runner = [sys.executable, str(PEERS / "runner_fer.py")]
    assert json.loads(output_of([*runner, "label", str(faces)])) == ["sadness", "sadness"]
    assert run_fresh([*runner, "first", "photo.jpg"]).answer == "sadness"


def test_photo_of_one_face_is_cut_to_size(peers: Any, tmp_path: Path) -> None:
    from PIL import Image

    path, source = peers("run").make_photo(None, tmp_path / "photo.jpg")
    with Image.open(path) as image:
        assert image.size == (640, 480)
    assert source == "astronaut.jpg"


def test_crops_for_speed_are_copies_of_the_photos_face(peers: Any) -> None:
    assert peers("run")._crops(SAMPLE).shape == (32, 48, 48)


def _peer(run: Any, name: str, start_s: float, photo_ms: float, crops: float, **facts: Any) -> Any:
    return run.Peer(
        name, [], facts=facts, starts_s=[start_s, 2 * start_s], peaks_mb=[100.0, 100.0],
        photos_ms=[[photo_ms] * 3, [photo_ms] * 3], crops=[[crops], [crops]],
    )  # fmt: skip


def _peers_json(run: Any, accuracy: Any) -> dict[str, Any]:
    mien = _peer(run, "mien", 0.5, 5.0, 1000.0, disk_mb=200.0)
    fer = _peer(
        run, "fer", 10.0, 50.0, 500.0, disk_mb=8000.0, disk_mb_without_optional=3000.0,
        install=["fer==1"], versions={"fer": "1"},
    )  # fmt: skip
    standin = {"what": "a net", "parameters": 1_500_000, "bytes": 6_000_000}
    other = _peer(
        run, "deepface", 0.5, 4.0, 2000.0, standin=standin, disk_mb=400.0,
        install=["deepface==1", "flask"], import_s={"median": 0.8, "low": 0.75, "high": 0.9},
    )  # fmt: skip
    peers = [mien, fer, other]
    truth = ["fear"] * 10
    said = {"mien": ["fear"] * 9 + ["anger"], "fer": ["fear"] * 7 + ["anger"] * 3}
    value: dict[str, Any] = {
        "format": 1, "kind": "peers", "machine": run.describe_machine(),
        "settings": {"turns": 2, "repeats": 3, "crops": 32},
        "photo": {"source": "a.jpg", "width": 640, "height": 480},
        "peers": {peer.name: peer.to_dict() for peer in peers}, "ratios": run.ratios(peers),
        "accuracy": {"data": "ferplus", "split": "valid", **accuracy.compare_labels(said, truth)},
    }  # fmt: skip
    value["targets"] = run.targets(value)
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def test_targets_are_held_against_ratios_by_hand(peers: Any) -> None:
    value = _peers_json(peers("run"), peers("accuracy"))
    found = {entry["what"].split(",")[0]: entry for entry in value["targets"]}
    assert found["cold start"]["found"] == 0.05
    assert found["a photo"]["found"] == 0.1
    assert found["environment on disk"]["found"] == 0.025
    assert found["accuracy above fer's"]["found"] == 20
    assert all(entry["met"] for entry in value["targets"])
    # Crops are a speed: 1,000 per second is twice the cost of 2,000.
    assert value["ratios"]["deepface"]["crop"]["median"] == 2.0
    value["peers"]["mien"]["disk_mb"] = 4000.0
    missed = [entry for entry in peers("run").targets(value) if not entry["met"]]
    assert [entry["what"] for entry in missed] == ["environment on disk, share of fer's"]


def test_page_holds_what_the_files_say(
    peers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    config = BenchmarkConfig(
        batch_sizes=(1,), threads=(1,), repeats=1, rounds=1, starts=0, warm_up=0
    )  # fmt: skip
    report = run_benchmark([SAMPLE], config)
    (tmp_path / "b.json").write_text(json.dumps(report.to_dict()))
    (tmp_path / "p.json").write_text(json.dumps(_peers_json(peers("run"), peers("accuracy"))))
    target = tmp_path / "docs" / "benchmarks.md"
    target.parent.mkdir()
    files = [str(tmp_path / "b.json"), str(tmp_path / "p.json")]
    named = [*files, "--commit", "abc1234", "-o", str(target)]
    monkeypatch.setattr(sys, "argv", ["page.py", *named])
    peers("page").main()
    text = target.read_text()
    assert text.count("Measured at `abc1234` (detector, mienet_s.faces8)") == 2
    assert (tmp_path / "docs" / "images" / "benchmarks.png").stat().st_size > 5000
    assert report.models[0].photo_ms["total"].text() in text
    assert "| fer | 8,000 | 15.00 (12.50 to 17.50) | 50.0 (50.0 to 50.0) |" in text
    assert "| deepface\\* | 400 |" in text
    assert "`deepface==1 flask`, takes 0.80 (0.75 to 0.90) s to import" in text
    assert "mien leads by 20.0 points" in text
    assert "aim: at most 0.1, met" in text
    assert text.count("<!-- block: needs") == text.count("```bash")
    twice = ["page.py", files[0], files[0], "--commit", "abc1234", "-o", str(target)]
    monkeypatch.setattr(sys, "argv", twice)
    with pytest.raises(SystemExit, match="second file"):
        peers("page").main()


def test_programs_that_train_agree_in_network_input_and_epochs(peers: Any) -> None:
    programs = {path.stem: path.read_text() for path in (PEERS / "training").glob("with_*.py")}
    assert set(programs) == {"with_fastai", "with_keras", "with_mien", "with_ultralytics"}
    for name, source in programs.items():
        assert re.search(r"(epochs=|fit_one_cycle\()4\b", source), name
        assert re.search(r"(batch|batch_size|bs)=64\b", source), name
        assert re.search(r"(\bimgsz=|\bsize=|Resize\(|Input\(\()64\b", source), name
        assert source.count("\n# trained\n") == 1, name  # where measure.py stamps


def test_page_of_frameworks_has_the_programs_as_they_are(peers: Any) -> None:
    page = (ROOT / "docs" / "frameworks.md").read_text()
    assert peers("train").renew(page) == page
    assert page.count("```python") == 4


def test_lines_are_logical_ones(peers: Any) -> None:
    count = peers("train").logical_lines
    assert count("x = [\n    1,\n    2,\n]\n") == 1
    assert count('"""What.\n\nMore."""\n\nimport os\n\n\ndef f():\n    return 1\n# said\n') == 3


def test_targets_of_training_by_hand(peers: Any) -> None:
    def tool(first: float, trained: float, lines: int) -> dict[str, Any]:
        return {"stamps": {"first_step": [first, 1], "trained": [trained, 1]}, "lines": lines}

    tools = {"mien": tool(4, 60, 3), "a": tool(5, 50, 9), "b": tool(16, 120, 5)}
    said = peers("train").targets(tools)
    assert "first step: 0.80 of the quickest other, 0.25 of the slowest (met)" in said
    assert "trained: 1.20 of the quickest other, 0.50 of the slowest (missed)" in said
    assert "lines: 3 against 5 (met)" in said
    assert peers("train").targets({"mien": tools["mien"]}) == ""
