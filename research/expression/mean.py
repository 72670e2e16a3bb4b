"""Writes the mean of trainings: ``python -m research.expression.mean A B --out C``.

It is a network as good as either or better where the trainings began from the same weights and did
not go far (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from research.expression.networks import build
from research.expression.train import write_weights
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Sequence


def mean_weights(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Returns the mean of safetensors files in float32, whole numbers as in the first.

    Args:
        paths: One or more.

    Raises:
        ValueError: If a file holds other names or shapes than the first.
    """
    networks = [load_file(path) for path in paths]
    first = {key: value.shape for key, value in networks[0].items()}
    for path, network in zip(paths, networks, strict=True):
        if {key: value.shape for key, value in network.items()} != first:
            raise ValueError(f"{path} is another network than {paths[0]}.")
    return {
        key: torch.stack([network[key].float() for network in networks]).mean(dim=0)
        if value.is_floating_point()
        else value
        for key, value in networks[0].items()
    }


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    network = build("mienet_s")
    network.load_state_dict(mean_weights(args.weights), strict=False)
    write_weights(network, args.out, half=True)


if __name__ == "__main__":
    main()
