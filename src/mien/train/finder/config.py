"""The recipe of the face detector: one flat dataclass, as for every other training.

Nothing heavy is imported here, so that the command line can list its flags without torch.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from mien.errors import ConfigError
from mien.train.config import read_yaml
from mien.train.options import build, coerce, option


@dataclass(frozen=True, kw_only=True)
class FinderConfig:
    """Everything that decides a training of the detector; each field's help documents it.

    Raises:
        ConfigError: If a value is out of range or of the wrong type.
    """

    scenes: str = option("", "Folder with people.parquet, portraits.parquet, animals.parquet.")
    ferplus: str = option("", "Folder with FER+ train.parquet; empty: no faces from there.")
    labels: str = option("", "Folder with the shards that 'mien finder label' wrote.")
    corrections: str = option("", "CSV of labels set right by hand; empty: none.")
    start: str = option("", "Weights (finder.safetensors) to start from; empty: from chance.")
    size: int = option(320, "Side of the training views in pixels, a multiple of 32.")
    steps: int = option(12_000, "Training steps.")
    batch_size: int = option(32, "Views a step.")
    parts: int = option(2, "Parts of a batch that are computed side by side, a thread each.")
    lr: float = option(0.003, "Peak learning rate of AdamW, reached after the warm-up.")
    weight_decay: float = option(0.02, "Weight decay, on weights, not on norms and biases.")
    warmup_steps: int = option(300, "Steps of linear warm-up before the cosine.")
    final_lr: float = option(0.01, "Last learning rate as a share of the peak.")
    ema_decay: float = option(0.9985, "Decay of the averaged weights that are kept.")
    box_weight: float = option(2.0, "Weight of the box loss beside the score loss.")
    point_weight: float = option(4.0, "Weight of the landmark loss beside the score loss.")
    animals: float = option(1.0, "Factor on how often a tile of a view shows animals.")
    drawings: float = option(0.15, "Chance of words and shapes drawn over a view.")
    pastes: float = option(0.45, "Chance that faces are pasted over a view.")
    crops: float = option(0.6, "Share of FER+ faces among pasted ones; the rest from portraits.")
    squares: float = option(0.33, "Share of pasted faces with the hard edges of their square.")
    decoys: float = option(
        0.0, "Chance that a tile or a paste shows what a correction calls background."
    )
    unseen: bool = option(
        default=False, help_text="Paste FER+ faces too that the teacher did not see."
    )
    clip: float = option(10.0, "Largest norm of a step's gradient.")
    log_every: int = option(200, "Steps between rows of metrics.csv and checkpoints.")
    workers: int = option(2, "Processes that compose views; 0: the training's own.")
    limit: int = option(0, "Use at most this many pictures of each kind, for trials; 0: all.")
    precision: str = option("auto", "auto, 32 or bf16 (auto: bf16 where the CPU has it).")
    threads: int = option(0, "CPU threads; 0: as many as there are cores.")
    seed: int = option(0, "Seed of weights and views.")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, coerce(item.name, value, hints[item.name]))
        _check(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the resolved values, in the order of the fields."""
        return asdict(self)


#: Field -> (lowest, highest) value allowed.
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("steps", "batch_size", "parts", "log_every"), (1, math.inf)),
    **dict.fromkeys(("lr", "clip"), (1e-12, math.inf)),
    **dict.fromkeys(
        ("weight_decay", "warmup_steps", "animals", "box_weight", "point_weight", "workers",
         "limit", "threads", "seed"), (0, math.inf),
    ),
    "ema_decay": (0, 0.999999), "size": (64, 960),
    **dict.fromkeys(("drawings", "final_lr", "pastes", "crops", "squares", "decoys"), (0, 1)),
}  # fmt: skip


def _check(config: FinderConfig) -> None:
    for name, (low, high) in _RANGES.items():
        if not low <= getattr(config, name) <= high:
            upper = "" if high == math.inf else f" and at most {high:g}"
            floor = "above 0" if 0 < low < 1e-6 else f"at least {low:g}"
            raise ConfigError(f"{name} must be {floor}{upper}; got {getattr(config, name)!r}.")
    if config.size % 32:
        raise ConfigError(f"size must be a multiple of 32; got {config.size}.")
    if config.warmup_steps >= config.steps:
        raise ConfigError(
            f"warmup_steps ({config.warmup_steps}) must be below steps ({config.steps})."
        )
    if config.precision not in ("auto", "32", "bf16"):
        raise ConfigError(f"precision is auto, 32 or bf16; got {config.precision!r}.")


def make_finder_config(values: dict[str, Any], *, source: str = "recipe") -> FinderConfig:
    """Builds a config from keys and values.

    Raises:
        ConfigError: If a key is unknown (the closest ones are named) or a value impossible.

    >>> make_finder_config({"steps": 500}).steps
    500
    """
    return build(FinderConfig, values, source)


def load_finder_recipe(path: str | Path | None = None, **overrides: Any) -> FinderConfig:
    """Reads a recipe and lays the given values over it; None means "not given".

    Raises:
        ConfigError: If a key is unknown or a value impossible.
    """
    values = {} if path is None else read_yaml(Path(path))
    make_finder_config(values, source=str(path or "recipe"))
    given = {key: value for key, value in overrides.items() if value is not None}
    return make_finder_config({**values, **given}, source="arguments")
