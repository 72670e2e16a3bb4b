"""The recipe: one flat dataclass whose fields are YAML keys, flags and Python arguments at once.

Nothing heavy is imported here, so that the command line can list its flags without torch.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from mien.errors import ConfigError, MissingExtraError, suggest


def _option(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run. The help of each field is its documentation.

    Raises:
        ConfigError: If a value is out of range or of the wrong type.
    """

    data: str = _option(
        "", "Dataset, as KIND:PATH (ferplus:DIR, folder:DIR, csv:FILE, parquet:PATH)."
    )
    model: str = _option("mienet_s", "Network, a name from 'mien models --architectures'.")
    epochs: int = _option(40, "Passes over the training faces.")
    batch_size: int = _option(128, "Faces a step.")
    lr: float = _option(0.1, "Peak learning rate of SGD, reached after the warm-up.")
    momentum: float = _option(0.9, "Nesterov momentum.")
    weight_decay: float = _option(5e-4, "L2 penalty on weights, not on norms and biases.")
    warmup_epochs: float = _option(2.0, "Epochs of linear warm-up before the cosine to zero.")
    ema_decay: float = _option(
        0.998, "Decay of the averaged weights that are kept; 0 turns it off."
    )
    label_smoothing: float = _option(0.0, "Share of each target spread over all classes.")
    dropout: float = _option(0.0, "Share of pooled features dropped before the last layer.")
    flip: float = _option(0.5, "Chance of a left-right flip.")
    rotate: float = _option(15.0, "Largest rotation to either side, degrees.")
    scale_min: float = _option(0.85, "Smallest zoom of the face.")
    scale_max: float = _option(1.15, "Largest zoom of the face.")
    shift: float = _option(0.1, "Largest shift along each axis, as a share of the side.")
    light: float = _option(0.3, "Largest relative change of brightness, contrast and gamma.")
    blur: float = _option(0.1, "Chance of a Gaussian blur.")
    low_resolution: float = _option(0.1, "Chance of shrinking a face and scaling it up again.")
    noise: float = _option(0.1, "Chance of Gaussian noise.")
    erase: float = _option(0.25, "Chance of erasing a rectangle.")
    mixup: float = _option(0.5, "Chance that a batch is mixed with itself (MixUp).")
    mixup_alpha: float = _option(0.3, "Shape of the Beta distribution that MixUp draws from.")
    mixup_off: float = _option(0.15, "Share of epochs at the end without MixUp.")
    patience: int = _option(0, "Stop after this many epochs without a better validation; 0: never.")
    limit: int = _option(0, "Train on at most this many faces, for trials; 0: all.")
    precision: str = _option("auto", "auto, 32 or bf16 (auto: bf16 where the hardware has it).")
    device: str = _option("auto", "auto, cpu, cuda or mps.")
    threads: int = _option(0, "CPU threads; 0: as many as there are cores.")
    tag: str = _option("", "Second half of the model's name; empty: the name of its label schema.")
    license: str = _option("unknown", "Licence of the weights, for the model card.")
    seed: int = _option(0, "Seed of weights, order and augmentation.")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, _coerce(item.name, value, hints[item.name]))
        _check_ranges(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the resolved values, in the order of the fields."""
        return asdict(self)


def _coerce(name: str, value: Any, kind: type) -> Any:
    if isinstance(value, bool) or value is None:
        raise ConfigError(f"{name} must be {_kind(kind)}; got {value!r}.")
    if kind is str:
        # YAML reads `precision: 32` as a number.
        if isinstance(value, (str, int, Path)):
            return str(value)
        raise ConfigError(f"{name} must be {_kind(kind)}; got {value!r}.")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} must be {_kind(kind)}; got {value!r}.") from None
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise ConfigError(f"{name} must be {_kind(kind)}; got {value!r}.")
    return int(number) if kind is int else number


def _kind(kind: type) -> str:
    return {str: "a text", int: "a whole number", float: "a number"}[kind]


#: Field -> (lowest, highest, whether the highest is itself allowed).
_RANGES: dict[str, tuple[float, float, bool]] = {
    "epochs": (1, math.inf, True),
    "batch_size": (2, math.inf, True),
    **dict.fromkeys(
        ("warmup_epochs", "weight_decay", "rotate", "patience", "limit", "threads", "seed"),
        (0, math.inf, True),
    ),
    **dict.fromkeys(("lr", "mixup_alpha", "scale_min"), (1e-12, math.inf, True)),
    **dict.fromkeys(
        ("flip", "blur", "low_resolution", "noise", "erase", "mixup", "mixup_off", "shift"),
        (0, 1, True),
    ),
    **dict.fromkeys(
        ("momentum", "ema_decay", "dropout", "light", "label_smoothing"), (0, 1, False)
    ),
}
_CHOICES = {"precision": ("auto", "32", "bf16"), "device": ("auto", "cpu", "cuda", "mps")}


def _check_ranges(config: TrainConfig) -> None:
    for name, (low, high, closed) in _RANGES.items():
        value = getattr(config, name)
        if not (low <= value <= high) or (value == high and not closed):
            upper = "" if high == math.inf else f" and {'at most' if closed else 'below'} {high:g}"
            floor = "above 0" if 0 < low < 1 else f"at least {low:g}"
            raise ConfigError(f"{name} must be {floor}{upper}; got {value!r}.")
    if config.scale_max < config.scale_min:
        raise ConfigError(
            f"scale_max ({config.scale_max}) must not be below scale_min ({config.scale_min})."
        )
    if config.warmup_epochs >= config.epochs:
        raise ConfigError(
            f"warmup_epochs ({config.warmup_epochs}) must be below epochs ({config.epochs})."
        )
    for name, known in _CHOICES.items():
        value = getattr(config, name)
        if value not in known:
            raise ConfigError(f"{name} {value!r} is unknown." + suggest(value, known))


def make_config(values: dict[str, Any], *, source: str = "recipe") -> TrainConfig:
    """Builds a config from keys and values.

    Raises:
        ConfigError: If a key is unknown (the closest ones are named) or a value impossible.

    >>> make_config({"epochs": 3}).epochs
    3
    """
    known = [item.name for item in fields(TrainConfig)]
    for key in values:
        if key not in known:
            raise ConfigError(f"{source}: unknown key {key!r}." + suggest(str(key), known))
    return TrainConfig(**values)


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a flat YAML mapping.

    Raises:
        ConfigError: If the file is missing, not YAML, or not a mapping.
        MissingExtraError: If PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("reading a recipe", "train", "PyYAML") from error
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"recipe {path} cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"recipe {path} must be a flat mapping of keys to values.")
    return values


def load_recipe(path: str | Path | None = None, **overrides: Any) -> TrainConfig:
    """Reads a recipe and lays the given values over it.

    Args:
        path: A YAML file, or None for the defaults.
        **overrides: Values that win over the file; None means "not given".

    Raises:
        ConfigError: If a key is unknown or a value impossible.

    >>> load_recipe(epochs=5, lr=None).epochs
    5
    """
    values = {} if path is None else read_yaml(Path(path))
    config = make_config(values, source=str(path or "recipe")).to_dict()
    given = {key: value for key, value in overrides.items() if value is not None}
    return make_config({**config, **given}, source="arguments")
