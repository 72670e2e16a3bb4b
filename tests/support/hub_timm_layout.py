"""What the tests of timm layout share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mien.cli.sources import SAMPLE
from mien.hub import ModelConfig, ModelFolder, read_model_folder, write_config
from mien.hub.timm_layout import write_timm_layout
from mien.labels import HES3
from mien.models import create_model, model_spec

timm = pytest.importorskip("timm")


def _faces(*, gray: bool) -> list[Image.Image]:
    photo = Image.open(SAMPLE).convert("L" if gray else "RGB").convert("RGB")
    boxes = [(176, 66, 273, 163), (160, 60, 290, 190), (200, 90, 260, 150), (0, 0, 200, 200)]
    return [photo.crop(box) for box in boxes]


def timm_probs(place: Path, faces: list[Image.Image]) -> np.ndarray:
    model = timm.create_model(f"local-dir:{place}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.inference_mode():
        logits = model(torch.stack([transform(face) for face in faces]))
    probs: np.ndarray = logits.softmax(1).numpy()
    return probs


def backbone(folder: Path) -> ModelFolder:
    """A network of timm with random weights on 64-pixel faces, as a model folder."""
    torch.manual_seed(0)
    name = "timm:resnet18"
    network: Any = create_model(name, num_classes=3, in_channels=3)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    preprocessing = dataclasses.replace(model_spec(name).preprocessing, size=64)
    return write_config(folder, ModelConfig(name, "x", HES3, preprocessing, temperature=1.7))


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_timm_layout(read_model_folder(), tmp_path_factory.mktemp("layout") / "timm")
