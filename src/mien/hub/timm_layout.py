"""A model folder in the form that timm and transformers read.

timm's ``local-dir:`` and ``hf-hub:`` and transformers' image-classification pipeline build a
network by the name in ``config.json`` and feed it pictures that are scaled and normalised by fixed
numbers. Two cases:

- A backbone of timm on colour faces with fixed normalisation becomes timm's own network: nothing
  of mien is needed to open it.
- Everything else (mien's own networks, gray faces, normalisation by face) becomes ``mien_face``,
  which timm knows after ``import mien.models.in_timm``.

In both the temperature is inside, so that their softmax gives the probabilities that mien gives.
The pictures must be faces already: nothing there looks for any.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from mien.atomic import check_free, replacing_folder, write_text
from mien.backends.torch import load_network
from mien.errors import ModelError
from mien.hub.card import front_matter
from mien.hub.folder import CARD, CONFIG, WEIGHTS, ModelConfig, ModelFolder
from mien.models.timm_backbones import PREFIX, pretrained_record

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


__all__ = ["PARITY", "is_standalone", "write_timm_layout"]

#: Largest difference of a probability between the two forms.
PARITY = 1e-4


def write_timm_layout(
    folder: ModelFolder, target: Path, *, repo_id: str | None = None, overwrite: bool = False
) -> Path:
    """Writes a model in the layout of timm, and checks that timm gives the same probabilities.

    Args:
        folder: The model; it needs ``model.safetensors``.
        target: Folder to write.
        repo_id: ``ORG/NAME`` where it will lie on the Hub, for the card.
        overwrite: Replace a folder that is there.

    Returns:
        The folder.

    Raises:
        ConfigError: If the folder is taken.
        ModelError: If the weights are unusable, or timm's answers differ.
    """
    check_free(target, overwrite=overwrite)
    network = load_network(folder)
    alone = is_standalone(folder.config)
    config, state = (_as_timm if alone else _as_mien_face)(folder.config, network)
    with replacing_folder(target) as place:
        write_text(place / CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        save_file({name: value.contiguous() for name, value in state.items()}, place / WEIGHTS)
        write_text(place / CARD, _card(folder, repo_id or "ORG/NAME", alone=alone))
        _check(place, folder.config, network)
    return target


def is_standalone(config: ModelConfig) -> bool:
    """Tells whether timm can open the model without mien."""
    p = config.preprocessing
    return config.architecture.startswith(PREFIX) and (p.color, p.normalization) == ("rgb", "fixed")


def _shared(
    config: ModelConfig, name: str, options: dict[str, Any], mean: list[float], std: list[float]
) -> dict[str, Any]:
    p = config.preprocessing
    return {
        "architecture": name,
        "model_args": options,
        "num_classes": len(config.schema),
        "label_names": list(config.schema.labels),
        "pretrained_cfg": {
            "tag": config.tag, "input_size": [3, p.size, p.size],
            "interpolation": p.interpolation, "crop_pct": 1.0, "crop_mode": "center",
            "mean": mean, "std": std, "num_classes": len(config.schema), "license": config.license,
        },
    }  # fmt: skip


def _as_timm(config: ModelConfig, network: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    p, name = config.preprocessing, config.architecture
    record = pretrained_record(name)
    options = {key: value for key, value in config.model_args.items() if key != "dropout"}
    if size := options.pop("size", 0):
        options |= {"img_size": size} if record.get("fixed_input_size") else {}
    classifier, state = str(record.get("classifier") or "head"), {}
    values = _shared(config, name.removeprefix(PREFIX), options, list(p.mean), list(p.std))
    values["pretrained_cfg"] |= {
        "classifier": classifier,
        # Where it is true, timm hands the size to the constructor.
        "fixed_input_size": bool(record.get("fixed_input_size")),
        "first_conv": record.get("first_conv"),
    }
    for key, value in network.state_dict().items():
        if key.startswith("head."):
            key = key.replace("head", classifier, 1)  # noqa: PLW2901
            value = value / config.temperature  # noqa: PLW2901
        state[key.removeprefix("backbone.")] = value
    return values, state


def _as_mien_face(
    config: ModelConfig, network: nn.Module
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from mien.models.in_timm import ARCHITECTURE

    arguments = {
        "network": config.architecture,
        "options": dict(config.model_args),
        "preprocessing": config.preprocessing.to_dict(),
        "temperature": config.temperature,
    }
    values = _shared(config, ARCHITECTURE, arguments, [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    return values, {f"network.{key}": value for key, value in network.state_dict().items()}


def _check(place: Path, config: ModelConfig, network: nn.Module) -> None:
    """Compares what timm reads from the folder with the network on noise."""
    import timm

    from mien.preprocess import normalize

    p = config.preprocessing
    generator = torch.Generator().manual_seed(0)
    gray = torch.randint(0, 256, (4, 1, p.size, p.size), generator=generator, dtype=torch.uint8)
    faces = gray.expand(-1, p.channels, -1, -1).permute(0, 2, 3, 1).numpy()
    try:
        other = timm.create_model(f"local-dir:{place}", pretrained=True).eval()
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"timm cannot open {config.name} in its layout: {error}") from error
    values = json.loads((place / CONFIG).read_text(encoding="utf-8"))["pretrained_cfg"]
    mean, std = (torch.tensor(values[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        expected = network(torch.from_numpy(normalize(faces, p))) / config.temperature
        found = other((gray.expand(-1, 3, -1, -1) / 255 - mean) / std)
    difference = float((expected.softmax(1) - found.softmax(1)).abs().max())
    if not difference <= PARITY:
        reason = (
            f"gives other probabilities in timm (by {difference:.1e}): its head is not the "
            "one that timm has there"
        )
        raise ModelError(reason, subject=config.name, hint="Push it in the layout of mien.")


def _card(folder: ModelFolder, repo_id: str, *, alone: bool) -> str:
    first = "" if alone else "import mien.models.in_timm  # makes mien_face known to timm\n"
    return f"""{front_matter(folder, library="timm")}
# {folder.config.name}

The model {folder.config.name} of mien, for timm and transformers:
{", ".join(folder.config.schema.labels)}. It takes a face, cropped as a square; it finds none in a
photo. Calibration is inside.

```python
{first}from transformers import pipeline

print(pipeline("image-classification", model="{repo_id}")("face.png"))
```

It says what an expression looks like to raters, not what a person feels. Do not use it to assess
people, at work, at school, at borders or in court.
"""
