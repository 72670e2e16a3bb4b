"""The manifest as pandas and PyTorch see it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.manifest import build_manifest


def test_pandas_gets_every_column() -> None:
    pytest.importorskip("pandas")
    table = build_manifest().to_pandas()
    assert table.to_dict("list") == {
        "key": ["a.png", "b.png", "c.png"], "label": ["angry", None, "sad"],
        "split": ["train", "valid", "test"], "group": ["g1", "g2", "g2"],
        "leaked": [False, True, False], "p_angry": [1, 0, 0], "p_happy": [0, 0.5, 0],
        "p_sad": [0, 0.5, 1],
    }  # fmt: skip
    assert build_manifest(groups=None).to_pandas()["group"].isna().all()
    names = ["one", "one", "two"]
    assert build_manifest(sources=names).to_pandas()["source"].tolist() == names


def test_torch_gets_pictures_and_classes_or_votes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3)).astype(np.uint8)
    for name, picture in zip("abc", pictures, strict=True):
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "PNG")
        (tmp_path / f"{name}.png").write_bytes(out.getvalue())
    faces = build_manifest(tmp_path).to_torch()
    assert len(faces) == 3
    for index in (0, 2, -3, -1):
        image, class_id = faces[index]
        assert np.array_equal(image.permute(1, 2, 0).numpy(), pictures[index])
        assert class_id == (0, -1, 2)[index]
        assert image.is_contiguous()
    for index in (3, -4):
        with pytest.raises(IndexError):
            faces[index]
    votes = build_manifest(tmp_path).to_torch(lambda image: image.float().mean(), votes=True)
    image, shares = votes[1]
    assert float(image) == pytest.approx(pictures[1].mean())
    assert torch.equal(shares, torch.tensor([0, 0.5, 0.5]))
    shares[0] = 9  # a copy: the manifest stays as it is
    assert build_manifest(tmp_path).targets[1].tolist() == [0, 0.5, 0.5]
