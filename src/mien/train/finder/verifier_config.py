"""The recipe of the network that verifies faces. Nothing heavy is imported here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from mien.errors import ConfigError
from mien.train.config import read_yaml
from mien.train.options import build, coerce, option


@dataclass(frozen=True, kw_only=True)
class VerifierConfig:
    """Everything that decides a training; each field's help documents it.

    Raises:
        ConfigError: If a value is out of range or of the wrong type.
    """

    candidates: str = option("", "Folder that 'mien finder candidates' wrote.")
    start: str = option(
        "", "Weights to start from: model.safetensors of a mienet_s, or of an earlier run here."
    )
    first_steps: int = option(1800, "Steps of the first round, on all candidates alike.")
    steps: int = option(4400, "Steps of both rounds; the second prefers what is hard.")
    batch_size: int = option(128, "Candidates a step.")
    lr: float = option(0.0004, "Peak learning rate of the layers that were started from weights.")
    head_lr: float = option(0.003, "Peak learning rate of the head.")
    weight_decay: float = option(0.03, "Weight decay of AdamW.")
    warmup: float = option(0.1, "Share of a round in which the rates rise.")
    ema_decay: float = option(0.997, "Decay of the averaged weights that are kept.")
    animals: float = option(2.0, "Factor on how often animals are shown.")
    pasted: float = option(1.5, "Factor on how often pasted faces are shown.")
    easy: float = option(0.2, "Second round: what is added to a candidate's loss (at most 2).")
    doubtful: float = option(
        2.0, "Second round: in photographs of people, what is no face by its label and yet has a "
        "logit above this is left out: mostly faces that no teacher saw.",
    )  # fmt: skip
    log_every: int = option(100, "Steps between rows of metrics.csv and checkpoints.")
    precision: str = option("auto", "auto, 32 or bf16 (auto: bf16 where the CPU has it).")
    threads: int = option(0, "CPU threads; 0: as many as there are cores.")
    seed: int = option(0, "Seed of the head's weights, of the order and of the changes.")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, coerce(item.name, value, hints[item.name]))
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"{name} must lie in {low:g}..{high:g}; got {getattr(self, name)!r}."
                )
        if self.first_steps > self.steps:
            raise ConfigError(
                f"first_steps ({self.first_steps}) must be at most steps ({self.steps})."
            )
        if self.precision not in ("auto", "32", "bf16"):
            raise ConfigError(f"precision is auto, 32 or bf16; got {self.precision!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Returns the resolved values, in the order of the fields."""
        return asdict(self)


_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("steps", "batch_size", "log_every"), (1, math.inf)),
    **dict.fromkeys(("first_steps", "threads", "seed", "weight_decay"), (0, math.inf)),
    **dict.fromkeys(("lr", "head_lr"), (1e-12, 1)),
    **dict.fromkeys(("animals", "pasted", "easy"), (1e-6, 1e6)),
    "warmup": (0, 0.9), "ema_decay": (0, 0.999999), "doubtful": (-100, 100),
}  # fmt: skip


def make_verifier_config(values: dict[str, Any], *, source: str = "recipe") -> VerifierConfig:
    """Builds a config from keys and values.

    Raises:
        ConfigError: If a key is unknown (the closest ones are named) or a value impossible.

    >>> make_verifier_config({"steps": 5000}).steps
    5000
    """
    return build(VerifierConfig, values, source)


def load_verifier_recipe(path: str | Path | None = None, **overrides: Any) -> VerifierConfig:
    """Reads a recipe and lays the given values over it; None means "not given".

    Raises:
        ConfigError: If a key is unknown or a value impossible.
    """
    values = {} if path is None else read_yaml(Path(path))
    given = {key: value for key, value in overrides.items() if value is not None}
    return make_verifier_config({**values, **given}, source=str(path or "arguments"))
