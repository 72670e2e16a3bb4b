"""The registry of networks: a decorator and a dict; how large they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mien.config import is_foreign, knows
from mien.errors import ConfigError, suggest
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    Build = TypeVar("Build", bound=Callable[..., nn.Module])


@dataclass(frozen=True)
class ModelSpec:
    """What the registry knows of a network before it is built.

    Args:
        name: Registry key, also the ``architecture`` of a model folder.
        build: ``build(num_classes=K, in_channels=C, **options) -> nn.Module`` whose forward takes
            (N, C, S, S) and returns logits (N, K), and which offers ``forward_features``
            ((N, C, S, S) -> (N, F, h, w)) and ``forward_head`` (features -> logits), or
            ``forward_tapped`` where the logits do not follow from the features alone (see
            :mod:`mien.models.layers`); further ``num_features``, its F, and ``head``, its last
            linear layer. One with attention may offer ``forward_attention`` ((N, C, S, S) ->
            (N, L, heads, T, T), the class token first).
        preprocessing: What it is trained with unless a recipe says otherwise.
        summary: One line for listings.
        attends: It offers ``forward_attention``, so that attention rollout explains it.
        options: Options that its name implies, which a model folder records.
        read_weights: Returns the weights that come with its name, in the names of its tensors.
    """

    name: str
    build: Callable[..., nn.Module]
    preprocessing: Preprocessing
    summary: str
    attends: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    read_weights: Callable[[], dict[str, Tensor]] | None = None


_MODELS: dict[str, ModelSpec] = {}
_FAMILIES: dict[str, Callable[[str], ModelSpec]] = {}
_SHOWN: list[str] = []


def register_model(
    name: str,
    *,
    preprocessing: Preprocessing = Preprocessing(size=48),  # noqa: B008 - frozen
    summary: str = "",
    attends: bool = False,
) -> Callable[[Build], Build]:
    """Adds a network to the registry under ``name``: its class, or a function that builds it.

    The arguments are those of :class:`ModelSpec`; faces are gray and of 48 pixels where nothing is
    said.

    Raises:
        ConfigError: If the name is taken.
    """

    def add(build: Build) -> Build:
        if name in _MODELS:
            raise ConfigError(f"a model named {name!r} is registered already: choose another name.")
        _MODELS[name] = ModelSpec(name, build, preprocessing, summary, attends)
        return build

    return add


def register_family(
    prefix: str, find: Callable[[str], ModelSpec], *, shown: Sequence[str] = ()
) -> None:
    """Adds the networks of another package, named ``prefix:NAME`` and found when asked for.

    Those with the prefix ``/`` are named by a folder or a Hub repository. ``find`` takes the
    whole name, and raises ``ConfigError`` if there is no such network; listings show the whole
    names in ``shown``.
    """
    _FAMILIES[prefix] = find
    _SHOWN.extend(shown)


def list_models() -> list[str]:
    """Returns the registered names, sorted."""
    return sorted(_MODELS)


def list_backbones() -> list[str]:
    """Returns the names shown of networks of other packages, in their own order."""
    return list(_SHOWN)


def model_spec(name: str) -> ModelSpec:
    """Returns what is registered under a name, or found by its family (``timm:NAME``).

    A name with a slash is a folder or a Hub repository in the layout of transformers or timm.

    Raises:
        ConfigError: If nothing is; the closest names are listed.
        ModelError: If such a folder is unfit, or cannot be fetched.
    """
    family, colon, _ = name.partition(":")
    if colon and family in _FAMILIES:
        return _FAMILIES[family](name)
    if not knows(_MODELS, name) and is_foreign(name):
        return _FAMILIES["/"](name)
    if not knows(_MODELS, name):
        raise ConfigError(f"no model named {name!r}." + suggest(name, _MODELS))
    return _MODELS[name]


def create_model(
    name: str, *, num_classes: int, in_channels: int | None = None, **options: Any
) -> nn.Module:
    """Builds a network with random weights.

    Args:
        name: A registered name.
        num_classes: K, at least 2.
        in_channels: C; by default that of the network's own preprocessing.
        **options: Passed to the network's constructor.

    Raises:
        ConfigError: If the name or an option is unknown, or a number impossible.
    """
    spec = model_spec(name)
    if num_classes < 2:
        raise ConfigError(f"a classifier needs at least 2 classes; got {num_classes}.")
    channels = spec.preprocessing.channels if in_channels is None else in_channels
    try:
        return spec.build(num_classes=num_classes, in_channels=channels, **options)
    except TypeError as error:
        raise ConfigError(f"model {name!r} cannot be built with {options!r}: {error}.") from error


def count_parameters(model: nn.Module) -> int:
    """Returns the number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Counts multiply-accumulates of convolutions, linear layers and attention for (C, S, S)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    training = model.training
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape))
    finally:
        model.train(training)
    return int(counter.get_total_flops()) // 2
