from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from PIL import Image
from safetensors.numpy import load_file

from mien.errors import ConfigError, DataError, ModelError
from mien.faces import Framing
from mien.faces.finder import FinderDetector
from mien.faces.finder_config import FinderConfig as RuntimeConfig
from mien.models.finder import Finder
from mien.train.config import read_yaml
from mien.train.finder.config import (
    FinderConfig,
    load_finder_recipe,
    make_finder_config,
)
from mien.train.finder.export import (
    export_finder_onnx,
    simplify,
    write_folder,
)
from mien.train.finder.pool import Pool, Source
from mien.train.finder.run import train_finder
from mien.train.finder.training import Training
from mien.train.finder.warp import make_levels
from mien.train.finder.weights import load_weights

REPOSITORY = Path(__file__).resolve().parents[2]


def _pool() -> Pool:
    rng = np.random.default_rng(0)

    def source() -> Source:
        pixels = rng.integers(60, 120, (100, 100, 3)).astype(np.uint8)
        pixels[30:70, 30:70] = 230
        points = np.float32([[[42, 42], [58, 42], [50, 50], [43, 60], [57, 60]]])
        box = np.float32([[30, 30, 70, 70]])
        return Source(make_levels(Image.fromarray(pixels)), box, points, np.ones(1, bool))

    return Pool({name: [source(), source()] for name in ("people", "portraits", "animals")}, [])


def _config(**more: object) -> FinderConfig:
    return make_finder_config({
        "size": 64, "steps": 6, "batch_size": 2, "warmup_steps": 2, "log_every": 2, "workers": 0,
        "threads": 1, "precision": "32", "seed": 4, **more,
    })  # fmt: skip


class _StopError(Exception):
    pass


def test_stopped_run_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = _pool()
    whole = train_finder(_config(), tmp_path / "whole", pool=pool, progress=False)
    learn = Training.learn

    def stopping(self: Training, *args: object) -> dict[str, float]:
        if self.step == 5:
            raise _StopError
        return learn(self, *args)

    monkeypatch.setattr(Training, "learn", stopping)
    with pytest.raises(_StopError):
        train_finder(_config(), tmp_path / "cut", pool=pool, progress=False)
    assert not (tmp_path / "cut" / "finder.safetensors").exists()
    monkeypatch.setattr(Training, "learn", learn)
    cut = train_finder(_config(), tmp_path / "cut", pool=pool, resume=True, progress=False)
    expected, found = load_file(whole), load_file(cut)
    assert expected.keys() == found.keys()
    for name in expected:
        assert np.array_equal(expected[name], found[name]), name
    rows = (tmp_path / "cut" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 4
    assert not list((tmp_path / "cut").glob(".*"))


def test_run_directory_is_guarded(tmp_path: Path) -> None:
    pool = _pool()
    train_finder(_config(steps=3), tmp_path / "run", pool=pool, progress=False)
    with pytest.raises(ConfigError, match="--resume"):
        train_finder(_config(steps=3), tmp_path / "run", pool=pool)
    with pytest.raises(ConfigError, match="other values"):
        train_finder(_config(steps=3, lr=0.5), tmp_path / "run", pool=pool, resume=True)
    with pytest.raises(ConfigError, match="mien finder label"):
        train_finder(_config(), tmp_path / "other")


def test_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lower lr"):
        train_finder(
            _config(lr=1e25, clip=1e30, warmup_steps=0), tmp_path / "run", pool=_pool(),
            progress=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepz": 5}, "steps"),
        ({"size": 100}, "multiple of 32"),
        ({"steps": 10, "warmup_steps": 10}, "warmup_steps"),
        ({"lr": 0}, "above 0"),
        ({"precision": "64"}, "precision"),
        ({"ema_decay": 1}, "ema_decay"),
    ],
)
def test_impossible_recipes_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_finder_config(values)


RECIPES = sorted((REPOSITORY / "recipes" / "finder").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_recipes_of_the_bundled_detector_are_valid(path: Path) -> None:
    assert load_finder_recipe(path, seed=3).seed == 3
    assert set(read_yaml(path)) <= set(FinderConfig.__dataclass_fields__)


def _network() -> Finder:
    torch.manual_seed(0)
    network = Finder().eval()
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return network


def test_network_is_small_and_answers_for_every_cell() -> None:
    network = _network()
    assert sum(p.numel() for p in network.parameters()) <= 150_000
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 160)).shape == (2, 160 + 40 + 10, 15)


def test_folded_network_answers_alike() -> None:
    network = _network()
    x = torch.rand(1, 3, 64, 96) * 255
    with torch.inference_mode():
        assert torch.allclose(simplify(network)(x), network(x), atol=1e-4)
    assert isinstance(network.stem[0][1], torch.nn.BatchNorm2d), "the original is left alone"


def test_export_agrees_with_torch_and_is_small(tmp_path: Path) -> None:
    difference = export_finder_onnx(_network(), tmp_path / "finder.onnx")
    assert difference <= 1e-3
    data = (tmp_path / "finder.onnx").read_bytes()
    assert len(data) <= 500_000
    assert b"site-packages" not in data
    assert str(REPOSITORY).encode() not in data


def test_exported_folder_runs_and_is_checked(tmp_path: Path) -> None:
    config = RuntimeConfig(min_score=0.001, framing=Framing(scale=1.1), data="noise")
    written, _ = write_folder(_network(), tmp_path, config)
    assert len(written.sha256) == 64
    detector = FinderDetector(tmp_path, threads=1)
    assert detector.framing.scale == 1.1
    detector.detect(np.zeros((70, 90, 3), np.uint8))
    with pytest.raises(ConfigError, match="--overwrite"):
        write_folder(_network(), tmp_path, config)
    path = tmp_path / "finder.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="damaged"):
        FinderDetector(tmp_path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "finder.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="does not hold"):
        load_weights(path)
