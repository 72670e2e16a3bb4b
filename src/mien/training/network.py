"""From a recipe to the network that is trained: its options, its input, its starting weights.

Weights to start from are a safetensors file of this network or of the backbone inside it.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from dataclasses import replace
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mien.errors import ConfigError, MienError, ModelError
from mien.hub import ASSETS, WEIGHTS, bundled_models
from mien.hub.foreign import fetch_weights
from mien.hub.tensors import read_tensors
from mien.models import ModelSpec, create_model, model_spec
from mien.models.timm_backbones import PREFIX, pretrained_record
from mien.training.config import TrainConfig, split_names
from mien.training.stages import HEAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from mien.preprocess import Preprocessing


#: Position embeddings (1, T, F) of networks of timm's and transformers'.
_POSITIONS = ("backbone.pos_embed", "backbone.embeddings.position_embeddings")


def parse_args(text: str) -> dict[str, Any]:
    """Reads ``key=value,key=value``; numbers, true and false become what they are.

    >>> parse_args("pad_type=same, drop_path_rate=0.1")
    {'pad_type': 'same', 'drop_path_rate': 0.1}
    """
    import yaml

    values: dict[str, Any] = {}
    for part in split_names(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ConfigError(f"model_args {text!r}: {part!r} is no key=value.")
        try:
            values[key.strip()] = yaml.safe_load(value.strip())
        except yaml.YAMLError as error:
            raise ConfigError(f"model_args {text!r}: {part!r} cannot be read.") from error
    return values


def model_options(config: TrainConfig) -> dict[str, Any]:
    """Returns the options that build the recipe's network, beyond classes and channels."""
    spec = model_spec(config.model)
    options = {**spec.options, **parse_args(config.model_args)}
    for name in ("num_classes", "in_channels"):
        if name in options:
            raise ConfigError(f"model_args: {name} follows from the data and color: leave it out.")
    if config.dropout:
        options["dropout"] = config.dropout
    takes_size = "size" in inspect.signature(spec.build).parameters
    if takes_size and config.size not in (0, spec.preprocessing.size):
        options["size"] = config.size
    return options


def input_of(preprocessing: Preprocessing, *, size: int = 0, color: str = "") -> Preprocessing:
    """Returns a network's preprocessing at another size or in another colour.

    Gray faces fill all three channels of an ``rgb`` input, each with its own mean and std.

    >>> from mien.preprocess import Preprocessing
    >>> imagenet = Preprocessing(size=224, color="rgb", normalization="fixed",
    ...                          mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2))
    >>> [round(value, 4) for value in input_of(imagenet, color="gray").mean]
    [0.4815]
    """
    p = replace(preprocessing, size=size) if size else preprocessing
    if color in ("", p.color):
        return p
    if p.normalization == "per_image":
        return replace(p, color=color)
    if color == "rgb":
        return replace(p, color=color, mean=p.mean * 3, std=p.std * 3)
    luma = (0.299, 0.587, 0.114)
    mean, std = (sum(map(mul, luma, values)) for values in (p.mean, p.std))
    return replace(p, color=color, mean=(mean,), std=(std,))


def trained_spec(config: TrainConfig) -> ModelSpec:
    """Returns the registry's entry of the recipe's network, with the recipe's size and colour."""
    spec = model_spec(config.model)
    p = input_of(spec.preprocessing, size=config.size, color=config.color)
    return replace(spec, preprocessing=p)


def build_network(config: TrainConfig, spec: ModelSpec, num_classes: int) -> nn.Module:
    """Builds the network, with its starting weights, and tries it on one empty face."""
    p = spec.preprocessing
    network = create_model(
        config.model, num_classes=num_classes, in_channels=p.channels, **model_options(config)
    )
    if config.weights:
        path = find_weights(config.weights, config.model)
        fresh = load_weights(network, path, model=config.model)
        if fresh:
            said = f"note: {', '.join(fresh)} start new, not from {config.weights}"
            print(said, file=sys.stderr)  # noqa: T201
    elif spec.read_weights is not None:
        take_weights(network, spec.read_weights(), model=spec.name, source=config.model)
    if config.first_size > p.size:
        raise ConfigError(
            f"first_size ({config.first_size}) must not be above the size of {config.model!r}, "
            f"{p.size}: the first epochs are to cost less, not more."
        )
    for side, key in ((p.size, "size"), (config.first_size, "first_size")):
        if not side:
            continue
        try:
            with torch.no_grad():
                network.eval()(torch.zeros(1, p.channels, side, side))
        except MienError:
            raise
        except Exception as error:  # whatever a layer of another package raises
            reason = f"model {config.model!r} takes no faces of {side}x{side} {p.color}: {error}"
            raise ConfigError(reason, hint=f"Give another {key}.") from error
    return network.train()


def find_weights(weights: str, model: str) -> Path:
    """Returns the file that a recipe's ``weights`` means: a file, model folder or bundled name.

    ``hub`` is what timm names for the network ``model``, fetched once from the Hub.
    """
    if weights != "hub":
        path = Path(os.path.expanduser(weights))  # noqa: PTH111
        if not path.exists() and weights in bundled_models():
            path = ASSETS / weights
        path = path / WEIGHTS if path.is_dir() else path
        if not path.is_file():
            raise ModelError(
                f"weights {weights}: there is no such file ({path})",
                hint=f"Give a .safetensors file, a model folder that holds {WEIGHTS}, or one of "
                f"{', '.join(bundled_models())}.",
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
    return fetch_weights(str(repository), f"weights of {model}")


def load_weights(network: nn.Module, path: Path, *, model: str) -> list[str]:
    """Gives a network the weights of a file, see :func:`take_weights`."""
    return take_weights(network, read_tensors(path), model=model, source=path)


def take_weights(
    network: nn.Module, given: Mapping[str, Tensor], *, model: str, source: str | Path
) -> list[str]:
    """Gives a network the weights of a source; returns the names of the tensors that stay new.

    All of them must be there but the last layer's, which stays new where the file has another
    number of classes or none. Tensors in timm's names go into the backbone of a network of timm's;
    position embeddings are resampled where the input has another size.
    """
    own = network.state_dict()
    if model.startswith(PREFIX) and not any(name.startswith("backbone.") for name in given):
        given = _in_backbone(given, model)
    given = _resampled(given, own)
    fresh = [name for name in own if name.startswith(f"{HEAD}.")]
    if all(name in given and given[name].shape == own[name].shape for name in fresh):
        fresh = []
    else:
        given = {name: v for name, v in given.items() if not name.startswith(f"{HEAD}.")}
    faults = _faults(given, own, skip=fresh)
    if faults:
        shown = "; ".join(faults[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ModelError(
            f"does not hold the weights of {model}: {shown}{more}",
            subject=source,
            hint="Give the network that the file was made for as model (with its model_args, and "
            "the color it has seen).",
        )
    network.load_state_dict({**own, **given})
    return fresh


def _in_backbone(given: Mapping[str, Tensor], model: str) -> dict[str, Tensor]:
    classifier = pretrained_record(model).get("classifier") or ()
    last = (classifier,) if isinstance(classifier, str) else classifier
    dropped = tuple(f"{layer}." for layer in last)
    return {f"backbone.{n}": v for n, v in given.items() if not n.startswith(dropped)}


def _resampled(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = dict(given)
    for place in _POSITIONS:
        if place in found and place in own and found[place].shape[1] != own[place].shape[1]:
            layers: Any = importlib.import_module("timm.layers")
            length = own[place].shape[1]
            side, side_was = int(length**0.5), int(found[place].shape[1] ** 0.5)
            found[place] = layers.resample_abs_pos_embed(
                found[place], [side, side], [side_was] * 2, num_prefix_tokens=length - side**2
            )
    return found


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
            found.append(f"{name} is {tuple(given[name].shape)}, not {tuple(value.shape)}")
    found += [f"{name} is not of it" for name in given if name not in own]
    return found
