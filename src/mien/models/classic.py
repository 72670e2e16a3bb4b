"""Classic networks: torchvision's, with a stem for small faces.

- ``alexnet``: Krizhevsky 2014, https://arxiv.org/abs/1404.5997, here with batch norm.
- ``vgg11``, ``vgg13``, ``vgg16``: Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556.
- ``inception``: GoogLeNet, Szegedy et al. 2015, https://arxiv.org/abs/1409.4842.
- ``mobilenet_v2``: Sandler et al. 2018, https://arxiv.org/abs/1801.04381.
- ``efficientnet_b0``: Tan and Le 2019, https://arxiv.org/abs/1905.11946.

They are published for photos of 224 px. ``layout: small`` leaves out strides and pooling, so that a
face of 48 px keeps a feature map of 6x6; ``layout: paper`` is the network as published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mien.errors import import_extra
from mien.models.layers import HiddenNetwork, PooledNetwork, is_paper, scaled
from mien.models.registry import register_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _torchvision() -> Any:
    return import_extra("torchvision.models", "this network", "train")


def _like(conv: nn.Conv2d, **changes: Any) -> nn.Conv2d:
    """Returns a new convolution of the same kind, with some arguments changed."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "groups")
    bias = {"bias": conv.bias is not None}
    return nn.Conv2d(**{name: getattr(conv, name) for name in names} | bias | changes)


@register_model("alexnet", summary="AlexNet of 2014 with batch norm and a stem for small faces")
def alexnet(
    *,
    num_classes: int,
    in_channels: int = 1,
    layout: str = "small",
    hidden: Sequence[int] | None = None,
    batch_norm: bool = True,
    dropout: float = 0.5,
) -> HiddenNetwork:
    """Builds AlexNet: 5.9M parameters, 126 MMAC at 48x48.

    The small layout has a 5x5 stem of stride 2, padded pooling and two hidden layers of 1024; the
    paper's a stem of 11x11 and stride 4, and 4096.
    """
    paper = is_paper(layout)
    layers: list[nn.Module] = []
    with torch.device("meta"):  # the hidden layers, which are not used, would take 230 MB
        published = _torchvision().AlexNet().features
    for layer in published:
        if isinstance(layer, nn.Conv2d):
            stem = {} if paper else {"kernel_size": 5, "stride": 2, "padding": 2}
            changes = {} if layers else {"in_channels": in_channels, **stem}
            layers.append(_like(layer, bias=not batch_norm, **changes))
            layers += [nn.BatchNorm2d(layer.out_channels)] if batch_norm else []
        else:
            pool = isinstance(layer, nn.MaxPool2d)
            layers.append(nn.MaxPool2d(3, 2, padding=0 if paper else 1) if pool else layer)
    return HiddenNetwork(
        nn.Sequential(*layers[:-1]),
        256,
        pool=layers[-1],
        grid=6 if paper else 3,
        hidden=hidden or ((4096, 4096) if paper else (1024, 1024)),
        num_classes=num_classes,
        dropout=dropout,
    )


def _register_vgg(name: str, letter: str) -> Callable[..., nn.Module]:
    @register_model(name, summary=f"VGG of {name[3:]} weighted layers with batch norm")
    def build(
        *,
        num_classes: int,
        in_channels: int = 1,
        layout: str = "small",
        width: float = 1.0,
        hidden: Sequence[int] | None = None,
        batch_norm: bool = True,
        dropout: float = 0.5,
    ) -> HiddenNetwork:
        """Builds a VGG.

        At 48x48 those of 11, 13 and 16 layers have 11.9M, 12.0M and 17.3M parameters, 471, 641 and
        896 MMAC. In the small layout the last two stages are not pooled apart, and the hidden
        layers are 512 wide; ``width`` is the share of the published channels.
        """
        paper, vgg = is_paper(layout), _torchvision().vgg
        steps = [step if step == "M" else scaled(step, width) for step in vgg.cfgs[letter]]
        if not paper:
            pools = [index for index, step in enumerate(steps) if step == "M"]
            del steps[pools[3]]
        layers = vgg.make_layers(steps, batch_norm=batch_norm)
        layers[0] = _like(layers[0], in_channels=in_channels)
        return HiddenNetwork(
            layers[:-1],
            steps[-2],
            pool=layers[-1],
            grid=7 if paper else 3,
            hidden=hidden or ((4096, 4096) if paper else (512, 512)),
            num_classes=num_classes,
            dropout=dropout,
        )

    return build


vgg11, vgg13, vgg16 = map(_register_vgg, ("vgg11", "vgg13", "vgg16"), "ABD")


@register_model("inception", summary="GoogLeNet with batch norm: branches of several kernel sizes")
def inception(
    *,
    num_classes: int,
    in_channels: int = 1,
    layout: str = "small",
    wide_kernel: int = 5,
    dropout: float = 0.2,
) -> PooledNetwork:
    """Builds GoogLeNet without its auxiliary classifiers: 6.0M parameters, 337 MMAC at 48x48.

    The small layout has a 5x5 stem of stride 2, no pooling after it nor before the last stage; the
    paper's 7x7 of stride 2 and pooling in both places. ``wide_kernel`` is the side of the wide
    branch's convolution: 5 in the paper, 3 in torchvision.
    """
    paper = is_paper(layout)
    network = _torchvision().GoogLeNet(aux_logits=False, init_weights=False)
    stem = {} if paper else {"kernel_size": 5, "padding": 2}
    network.conv1.conv = _like(network.conv1.conv, in_channels=in_channels, **stem)
    left_out = {"avgpool", "dropout", "fc"} | (set() if paper else {"maxpool1", "maxpool4"})
    layers = {name: layer for name, layer in network.named_children() if name not in left_out}
    for name, layer in layers.items():
        if name.startswith("inception"):
            wide = layer.branch3[1]
            wide.conv = _like(wide.conv, kernel_size=wide_kernel, padding=wide_kernel // 2)
    return PooledNetwork(
        nn.Sequential(*layers.values()), 1024, num_classes=num_classes, dropout=dropout
    )


@register_model("mobilenet_v2", summary="MobileNetV2: depthwise convolutions in inverted residuals")
def mobilenet_v2(*, width: float = 1.0, **options: Any) -> PooledNetwork:
    """Builds MobileNetV2: 2.2M parameters, 97 MMAC at 48x48.

    The small layout has stride 1 in the stem and in the sixth stage; ``width`` is the share of the
    published channels, of which the last layer never has fewer.
    """
    scaled(32, width)  # refuses a width that is not above 0
    features = _torchvision().MobileNetV2(width_mult=width).features
    return _with_small_strides(features, features[14].conv[1], **options)


@register_model("efficientnet_b0", summary="EfficientNet-B0: MBConv with squeeze-and-excitation")
def efficientnet_b0(**options: Any) -> PooledNetwork:
    """Builds EfficientNet-B0: 4.0M parameters, 139 MMAC at 48x48.

    The small layout has stride 1 in the stem and in the sixth stage.
    """
    features = _torchvision().efficientnet_b0(stochastic_depth_prob=0.0).features
    return _with_small_strides(features, features[6][0].block[1], **options)


def _with_small_strides(
    features: Any,
    depthwise: Any,
    *,
    num_classes: int,
    in_channels: int = 1,
    layout: str = "small",
    dropout: float = 0.2,
) -> PooledNetwork:
    """Gives a network of inverted residuals its stem, and in the small layout stride 1 twice."""
    small = {} if is_paper(layout) else {"stride": 1}
    features[0][0] = _like(features[0][0], in_channels=in_channels, **small)
    depthwise[0] = _like(depthwise[0], **small)
    last = features[-1][0].out_channels
    return PooledNetwork(features, last, num_classes=num_classes, dropout=dropout)
