"""Weights to start from: a safetensors file of this network or of the backbone inside it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mien.errors import ConfigError, ModelError
from mien.hub import ASSETS, WEIGHTS, bundled_models
from mien.models.timm_backbones import PREFIX, pretrained_record
from mien.training.stages import HEAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

HUB = "hub"
#: How files begin that torch.save wrote: a zip archive, or a pickle.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def find_weights(weights: str, model: str) -> Path:
    """Returns the file that a recipe's ``weights`` means.

    Args:
        weights: A file, a model folder or the name of a bundled model; or ``hub``: what timm
            names for ``model``, fetched once from the Hub.
        model: Name of the network.

    Raises:
        ConfigError: If ``hub`` is asked for a network that is not timm's.
        ModelError: If there is no such file, or the Hub cannot be reached.
    """
    if weights != HUB:
        path = Path(weights).expanduser()
        if not path.exists() and weights in bundled_models():
            path = ASSETS / weights
        path = path / WEIGHTS if path.is_dir() else path
        if not path.is_file():
            raise ModelError(
                f"weights {weights}: there is no such file ({path})",
                hint=(
                    f"Give a .safetensors file, a model folder that holds {WEIGHTS}, or one of "
                    f"{', '.join(bundled_models())}."
                ),
            )
        return path
    if not model.startswith(PREFIX):
        raise ConfigError(
            f"weights: hub is for networks of timm's (model: {PREFIX}NAME), not for {model!r}: "
            "give a .safetensors file."
        )
    repository = pretrained_record(model).get("hf_hub_id")
    if not repository:
        raise ModelError(f"timm names no weights on the Hub for {model!r}: give a file.")
    return _fetch(str(repository), model)


def _fetch(repository: str, model: str) -> Path:
    import huggingface_hub

    try:
        # The safetensors file alone: what else lies there may be a pickle.
        return Path(huggingface_hub.hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the Hub's, the network's or the disk's
        raise ModelError(
            (
                f"weights of {model} cannot be fetched from the Hub ({type(error).__name__}; is "
                "this machine offline?)"
            ),
            hint=(
                f"Where there is internet, type: hf download {repository} model.safetensors "
                "--local-dir . and then here: --weights model.safetensors"
            ),
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file; half-precision values are widened.

    Raises:
        ModelError: If it is a pickle, damaged, or something else.
    """
    with path.open("rb") as stream:
        begin = stream.read(8)
    if begin.startswith(_PICKLES):
        raise ModelError(
            "is a pickle, which can run any code when it is read: it is not opened",
            subject=path,
            hint="Ask its author for a .safetensors file.",
        )
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"is no readable safetensors file: {error}", subject=path) from error
    narrow = (torch.float16, torch.bfloat16)
    return {
        name: value.float() if value.dtype in narrow else value for name, value in tensors.items()
    }


def load_weights(network: nn.Module, path: Path, *, model: str) -> list[str]:
    """Gives a network the weights of a file.

    All of them must be there but the last layer's, which stays new where the file has another
    number of classes or none. Tensors in timm's names go into the backbone of a network of
    timm's; its position embeddings are resampled where the input has another size.

    Args:
        network: The network; changed in place.
        path: A safetensors file.
        model: Name of the network.

    Returns:
        Names of the tensors that stay new.

    Raises:
        ModelError: If the file is a pickle, damaged, or of another network; the first tensors
            that do not fit are named.
    """
    given, own = read_tensors(path), network.state_dict()
    if hasattr(network, "backbone") and not any(name.startswith("backbone.") for name in given):
        given = _in_backbone(given, own, model)
    fresh = [
        name for name in own
        if name.startswith(f"{HEAD}.")
        and (name not in given or given[name].shape != own[name].shape)
    ]  # fmt: skip
    if fresh:
        given = {name: v for name, v in given.items() if not name.startswith(f"{HEAD}.")}
        fresh = [name for name in own if name.startswith(f"{HEAD}.")]
    faults = _faults(given, own, skip=fresh)
    if faults:
        shown = "; ".join(faults[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ModelError(
            f"does not hold the weights of {model}: {shown}{more}",
            subject=path,
            hint=(
                "Give the network that the file was made for as model (with its model_args, "
                "and the color it has seen)."
            ),
        )
    network.load_state_dict({**own, **given})
    return fresh


def _in_backbone(
    given: Mapping[str, Tensor], own: Mapping[str, Tensor], model: str
) -> dict[str, Tensor]:
    layers: Any = importlib.import_module("timm.layers")
    classifier = pretrained_record(model).get("classifier") or ()
    last = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    renamed = {
        f"backbone.{name}": value
        for name, value in given.items()
        if not name.startswith(tuple(f"{layer}." for layer in last))
    }
    place = "backbone.pos_embed"
    if place in renamed and place in own and renamed[place].shape[1] != own[place].shape[1]:
        length, was = own[place].shape[1], renamed[place].shape[1]
        side, side_was = int(length**0.5), int(was**0.5)
        renamed[place] = layers.resample_abs_pos_embed(
            renamed[place], [side, side], [side_was, side_was],
            num_prefix_tokens=length - side**2,
        )  # fmt: skip
    return renamed


def _faults(
    given: Mapping[str, Tensor], own: Mapping[str, Tensor], *, skip: list[str]
) -> list[str]:
    found = []
    for name, value in own.items():
        # Files made without torch often leave out how many batches a norm has seen.
        if name in skip or (name.endswith("num_batches_tracked") and name not in given):
            continue
        if name not in given:
            found.append(f"{name} is missing")
        elif given[name].shape != value.shape:
            shapes = f"{tuple(given[name].shape)}, not {tuple(value.shape)}"
            found.append(f"{name} is {shapes}")
    found += [f"{name} is not of it" for name in given if name not in own]
    return found
