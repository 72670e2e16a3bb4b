"""Networks of other tools' size with random weights, as model folders that mien's wheel runs."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mien.atomic import replacing, write_text
from mien.hub import CONFIG, ONNX, ModelConfig, write_config
from mien.labels import FER7
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path


def deepface_cnn() -> nn.Module:
    """Builds the layout of DeepFace's emotion network, 48x48 gray to seven classes."""
    features = [
        nn.Conv2d(1, 64, 5), nn.ReLU(), nn.MaxPool2d(5, 2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.AvgPool2d(3, 2),
        nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Conv2d(128, 128, 3), nn.ReLU(), nn.AvgPool2d(3, 2),
    ]  # fmt: skip
    dense = [nn.Linear(128, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 7)]
    return nn.Sequential(*features, nn.Flatten(), *dense)


def make_standin(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Writes a model folder and returns what the JSON says of it.

    Args:
        folder: Where to write; what is there is kept if it holds the same network.
        entry: A table ``standins`` of ``peers.toml``.
    """
    notes = folder / "standin.json"
    if notes.is_file() and (facts := json.loads(notes.read_text()))["network"] == entry["network"]:
        return facts
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = _network(entry["network"]).eval()
    channels, side = {"gray": 1, "rgb": 3}[entry["color"]], entry["size"]
    sample = torch.zeros(2, channels, side, side)
    with replacing(folder / ONNX) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (sample,), temporary, dynamo=True, verbose=False, external_data=False,
            input_names=["input"], output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
        )  # fmt: skip
    half = (0.5,) * channels
    write_config(
        folder,
        ModelConfig(
            architecture=entry["network"],
            tag="random",
            schema=FER7,
            preprocessing=Preprocessing(
                size=side, color=entry["color"], normalization="fixed", mean=half, std=half
            ),
            license="none: weights are random",
            data="none: weights are random",
        ),
    )
    parameters = sum(value.numel() for value in network.parameters())
    facts = {
        "network": entry["network"],
        "what": entry["what"],
        "note": "size stand-in, weights random",
        "parameters": parameters,
        "bytes": (folder / ONNX).stat().st_size,
    }
    write_text(notes, json.dumps(facts, indent=2) + "\n")
    assert (folder / CONFIG).is_file()
    return facts


def _network(name: str) -> nn.Module:
    if name == "deepface_cnn":
        return deepface_cnn()
    import timm

    return timm.create_model(name, num_classes=7, pretrained=False)
