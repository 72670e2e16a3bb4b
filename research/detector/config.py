"""Everything that a training run depends on, as one tree of dataclasses with a YAML file's keys."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_type_hints

from research.detector.batches import BatchConfig
from research.detector.losses import LossConfig
from research.detector.network import NetworkConfig

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class TrainConfig:
    """A training run of the detector.

    Args:
        batch_size: Crops per step.
        steps: Steps in all, where ``seconds`` is 0.
        seconds: Time in all; the learning rate follows the time that has gone, so that the run
            ends when it should, however fast the machine is.
        lr: Highest learning rate of AdamW.
        weight_decay: On the weights of convolutions.
        warmup: Share of the run in which the learning rate rises.
        final_lr: Lowest learning rate, as a share of ``lr``.
        ema: Decay of the averaged weights per step.
        clip: Largest norm of the gradient.
        plain: Share of the run, its end, without mosaics and covered faces.
        save_every: Seconds between checkpoints.
        measure_every: Seconds between measurements on what is kept aside; 0 for the end only.
        measure_limit: Images of each source to measure on; 0 for all.
        channels_last: Order of the pixels; None tries both and takes the faster one.
        seed: Of the random numbers.
        network: Widths and depths.
        batch: How batches are made.
        loss: Weights of the loss.
    """

    batch_size: int = 128
    steps: int = 8000
    seconds: float = 0.0
    lr: float = 0.003
    weight_decay: float = 0.03
    warmup: float = 0.04
    final_lr: float = 0.005
    ema: float = 0.9993
    clip: float = 10.0
    plain: float = 0.12
    save_every: float = 60.0
    measure_every: float = 120.0
    measure_limit: int = 40
    channels_last: bool | None = None
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def to_dict(self) -> dict[str, Any]:
        """Returns the tree as plain values."""
        return asdict(self)


def build(kind: type[Any], values: dict[str, Any], where: str = "") -> Any:
    """Builds a dataclass, and those inside it, from plain values.

    Raises:
        ValueError: If a key is unknown.

    >>> build(TrainConfig, {"lr": 0.1, "loss": {"box": 2.0}}).loss.box
    2.0
    >>> build(TrainConfig, {"lrr": 0.1})
    Traceback (most recent call last):
    ValueError: unknown key 'lrr'; did you mean 'lr'?
    """
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)}
    result: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            close = get_close_matches(key, known, 1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"unknown key {where + key!r}{advice}")
        if is_dataclass(hints[key]):
            result[key] = build(hints[key], value or {}, f"{where}{key}.")  # type: ignore[arg-type]
        else:
            result[key] = tuple(value) if isinstance(value, list) else value
    return kind(**result)


def read_config(path: Path | None) -> TrainConfig:
    """Reads a YAML file; without one, the defaults."""
    import yaml

    values = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
    config: TrainConfig = build(TrainConfig, values or {})
    return config
