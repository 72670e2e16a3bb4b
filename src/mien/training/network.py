"""From a recipe to the network that is trained, its options and its input."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from mien.errors import ConfigError, MienError
from mien.models import create_model, model_spec
from mien.training.weights import find_weights, load_weights

if TYPE_CHECKING:
    from torch import nn

    from mien.models import ModelSpec
    from mien.preprocess import Preprocessing
    from mien.training.config import TrainConfig


def parse_args(text: str) -> dict[str, Any]:
    """Reads ``key=value,key=value``; numbers, true and false become what they are.

    Raises:
        ConfigError: If a part is no ``key=value``.

    >>> parse_args("pad_type=same, drop_path_rate=0.1")
    {'pad_type': 'same', 'drop_path_rate': 0.1}
    """
    import yaml

    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
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
    options = parse_args(config.model_args)
    for name in ("num_classes", "in_channels"):
        if name in options:
            raise ConfigError(f"model_args: {name} follows from the data and color: leave it out.")
    if config.dropout:
        options["dropout"] = config.dropout
    spec = model_spec(config.model)
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
    mean, std = (
        sum(share * value for share, value in zip(luma, values, strict=True))
        for values in (p.mean, p.std)
    )
    return replace(p, color=color, mean=(mean,), std=(std,))


def trained_spec(config: TrainConfig) -> ModelSpec:
    """Returns the registry's entry of the recipe's network, with the recipe's size and colour."""
    spec = model_spec(config.model)
    p = input_of(spec.preprocessing, size=config.size, color=config.color)
    return replace(spec, preprocessing=p)


def build_network(config: TrainConfig, spec: ModelSpec, num_classes: int) -> nn.Module:
    """Builds the network, with its starting weights, and tries it on one empty face.

    Args:
        config: The recipe.
        spec: See :func:`trained_spec`.
        num_classes: K.

    Raises:
        ConfigError: If it cannot be built, or takes no faces of that size.
        ModelError: If the starting weights cannot be had or are of another network.
    """
    p = spec.preprocessing
    network = create_model(
        config.model, num_classes=num_classes, in_channels=p.channels, **model_options(config)
    )
    if config.weights:
        path = find_weights(config.weights, config.model)
        fresh = load_weights(network, path, model=config.model)
        if fresh:
            print(f"note: {', '.join(fresh)} start new, not from {path}", file=sys.stderr)  # noqa: T201
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
            raise ConfigError(
                f"model {config.model!r} takes no faces of {side}x{side} {p.color}: {error}",
                hint=f"Give another {key}.",
            ) from error
    return network.train()
