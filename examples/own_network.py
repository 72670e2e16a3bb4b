"""Train a network of your own: layers that end in a map of features, pooled and classified."""

from torch import nn

import mien
from mien.models import PooledNetwork, register_model


@register_model("tiny")
def tiny(num_classes, in_channels=1):
    layers = nn.Sequential(nn.Conv2d(in_channels, 16, 5, stride=4), nn.ReLU())
    return PooledNetwork(layers, 16, num_classes=num_classes)


print(mien.train("folder:faces", model="tiny", epochs=2, output="runs/tiny").metrics["accuracy"])
