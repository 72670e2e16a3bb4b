from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.preprocess import Preprocessing, normalize
from mien.train.augment import affine, augment, erase, mix_up, normalize_tensor
from mien.train.config import TrainConfig

STILL = {"rotate": 0, "scale_min": 1, "scale_max": 1, "shift": 0, "flip": 0}


def _faces(n: int = 6, channels: int = 1) -> torch.Tensor:
    return torch.rand(n, channels, 48, 48, generator=torch.Generator().manual_seed(0)) * 255


def _generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
def test_augment_keeps_shape_and_range_and_follows_its_seed(channels: int) -> None:
    config = TrainConfig(blur=1, low_resolution=1, noise=1, erase=1)
    faces = _faces(channels=channels)
    first = augment(faces, config, _generator())
    assert first.shape == faces.shape
    assert 0 <= float(first.min()) <= float(first.max()) <= 255
    assert torch.equal(first, augment(faces, config, _generator()))
    assert not torch.equal(first, augment(faces, config, _generator(4)))


def test_affine_that_moves_nothing_changes_nothing() -> None:
    faces = _faces()
    moved = affine(faces, TrainConfig(**STILL), _generator())
    assert torch.allclose(moved, faces, atol=1e-2)


def test_affine_flip_mirrors_left_and_right() -> None:
    faces = _faces()
    moved = affine(faces, TrainConfig(**{**STILL, "flip": 1}), _generator())
    assert torch.allclose(moved, faces.flip(3), atol=1e-2)


def test_affine_zoom_enlarges_the_middle() -> None:
    faces = torch.zeros(1, 1, 48, 48)
    faces[:, :, 18:30, 18:30] = 255
    config = TrainConfig(**{**STILL, "scale_min": 1.5, "scale_max": 1.5})
    moved = affine(faces, config, _generator())
    assert float((moved > 127).sum()) == pytest.approx(18 * 18, rel=0.1)


def test_erase_fills_one_level_within_the_promised_area() -> None:
    faces = torch.full((64, 1, 48, 48), -1.0)
    out = erase(faces, TrainConfig(erase=1), _generator())
    shares = (out != -1).float().mean(dim=(1, 2, 3))
    assert float(shares.max()) <= 0.22
    assert float((shares > 0.01).float().mean()) > 0.7
    for face in out:
        assert len(face[face != -1].unique()) <= 1


def test_mix_up_blends_faces_and_targets_alike() -> None:
    faces, targets = torch.eye(4).view(4, 1, 2, 2), torch.eye(4)
    x, t = mix_up(faces, targets, TrainConfig(mixup=1), _generator())
    assert torch.allclose(x.view(4, 4), t)
    assert torch.allclose(t.sum(1), torch.ones(4))
    assert not torch.equal(t, targets)
    same, kept = mix_up(faces, targets, TrainConfig(mixup=0), _generator())
    assert same is faces
    assert kept is targets


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(size=48),
        Preprocessing(size=48, color="rgb"),
        Preprocessing(
            size=48, color="rgb", normalization="fixed", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)
        ),
    ],
)
def test_torch_and_numpy_normalize_alike(preprocessing: Preprocessing) -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (5, 48, 48, preprocessing.channels), dtype=np.uint8)
    expected = normalize(faces, preprocessing)
    found = normalize_tensor(torch.from_numpy(faces).permute(0, 3, 1, 2).float(), preprocessing)
    assert np.abs(found.numpy() - expected).max() < 1e-5
