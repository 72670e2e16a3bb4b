from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from mien.errors import ConfigError
from mien.models.layers import normalize_tensor
from mien.preprocess import Preprocessing, normalize
from mien.training.config import TrainConfig
from mien.training.data.augment import (
    OPERATIONS,
    affine,
    augment,
    cut_mix,
    erase,
    lower_resolution,
    mix_batch,
    mix_up,
    operate,
    rand_augment,
)

STILL: dict[str, Any] = {"rotate": 0, "scale_min": 1, "scale_max": 1, "shift": 0, "flip": 0}


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


def test_cut_mix_swaps_one_rectangle_and_blends_targets_by_its_area() -> None:
    faces = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 24, 24)
    for seed in range(12):
        x, t = cut_mix(faces, torch.eye(4), TrainConfig(cutmix=1), _generator(seed))
        assert torch.allclose(t.sum(1), torch.ones(4))
        for index in range(4):
            share = float((x[index] != index).float().mean())
            other = x[index][x[index] != index].unique()
            if len(other):
                assert float(t[index, int(other[0])]) == pytest.approx(share, abs=1e-6)
                rows = (x[index, 0] != index).any(1).sum() * (x[index, 0] != index).any(0).sum()
                assert int(rows) == round(share * 24 * 24), "what is swapped is one rectangle"
            assert float(t[index, index]) == pytest.approx(1 - share, abs=1e-6)


def test_a_batch_is_cut_or_mixed_never_both() -> None:
    faces = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 24, 24)
    config = TrainConfig(cutmix=1, mixup=1)
    x, _ = mix_batch(faces, torch.eye(4), config, _generator())
    assert set(x.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}, "values in between would be MixUp's"
    plain = TrainConfig(cutmix=0, mixup=1)
    x, _ = mix_batch(faces, torch.eye(4), plain, _generator(5))
    same, _ = mix_up(faces, torch.eye(4), plain, _generator(5))
    assert torch.equal(x, same)


def _operate(name: str, strength: float, faces: torch.Tensor) -> torch.Tensor:
    n = len(faces)
    chosen = torch.full((n,), list(OPERATIONS).index(name))
    return operate(faces, chosen, torch.full((n,), strength), _generator())


def test_each_operation_does_what_its_name_says() -> None:
    faces = _faces()
    assert torch.equal(_operate("identity", 1, faces), faces)
    moved = _operate("shift_x", 1, faces)  # half a half side: 12 of 48 pixels
    assert torch.allclose(moved[..., :36], faces[..., 12:], atol=1e-2)
    moved = _operate("shift_y", -1, faces)
    assert torch.allclose(moved[:, :, 12:], faces[:, :, :36], atol=1e-2)
    calm = faces * 0.4 + 60
    assert torch.allclose(
        _operate("brightness", 0.5, calm).mean((2, 3)), calm.mean((2, 3)) * 1.3, rtol=1e-3
    )
    deviation = _operate("contrast", -0.5, calm).std((2, 3)) / calm.std((2, 3))
    assert torch.allclose(deviation, torch.full_like(deviation, 0.6), atol=1e-3)
    assert float(_operate("blur", 1, faces).std()) < 0.4 * float(faces.std())
    noise = _operate("noise", 0.5, torch.full((4, 1, 48, 48), 127.0)) - 127
    assert float(noise.std()) == pytest.approx(16, rel=0.05)
    for name in OPERATIONS:
        changed = _operate(name, 1, faces)
        assert changed.shape == faces.shape
        assert -0.01 <= float(changed.min()) <= float(changed.max()) <= 255.01
        assert torch.equal(changed, faces) is (name == "identity")


def test_operations_are_drawn_for_each_face() -> None:
    faces = _faces(1).repeat(40, 1, 1, 1)
    config = TrainConfig(randaugment=1, randaugment_strength=1)
    out = rand_augment(faces, config, _generator())
    assert torch.equal(out, rand_augment(faces, config, _generator()))
    kinds = {tuple(face.flatten()[:50].tolist()) for face in out}
    assert len(kinds) > 10
    assert torch.equal(rand_augment(faces, TrainConfig(), _generator()), faces)


def test_low_resolution_goes_down_to_what_the_recipe_says() -> None:
    faces = torch.rand(8, 1, 48, 48, generator=_generator()) * 255
    left = {}
    for least in (0.05, 0.4, 0.8):
        config = TrainConfig(low_resolution=1, low_resolution_min=least)
        generators = (torch.Generator().manual_seed(seed) for seed in range(10))
        left[least] = min(float(lower_resolution(faces, config, g).std()) for g in generators)
    assert left[0.05] < 0.6 * left[0.4] < 0.6 * left[0.8]
    with pytest.raises(ConfigError, match="low_resolution_min"):
        TrainConfig(low_resolution_min=0.9)


def test_augmentation_of_old_recipes_is_what_it_was() -> None:
    # Worked with the code of the first release: a seed keeps its pictures.
    out = augment(_faces(4), TrainConfig(), _generator())
    assert float(out.sum()) == pytest.approx(1_086_602.875, rel=1e-6)


def upside_down(faces: torch.Tensor) -> torch.Tensor:
    return faces.flip(2)


def test_own_augmentation_comes_after_the_others() -> None:
    faces = torch.arange(2 * 48 * 48).reshape(2, 1, 48, 48) % 251.0
    quiet = {**STILL, "light": 0, "blur": 0, "low_resolution": 0, "noise": 0, "erase": 0}
    random = torch.Generator().manual_seed(0)
    changed = augment(faces, TrainConfig(**quiet, augmentation=f"{__name__}:upside_down"), random)
    # A warp that moves nothing rounds a little.
    assert torch.allclose(changed, faces.flip(2), atol=0.05)
    with pytest.raises(ConfigError, match=r"must return faces of shape \(2, 1, 48, 48\)"):
        augment(faces, TrainConfig(**quiet, augmentation="torch:flatten"), random)
