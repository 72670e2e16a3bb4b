"""The recipe: one flat dataclass whose fields are YAML keys, flags and Python arguments at once.

Nothing heavy is imported here, so that the command line can list its flags without torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from mien.errors import ConfigError, MissingExtraError, suggest
from mien.training.limits import check_config
from mien.training.optim.options import coerce, option


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run. The help of each field is its documentation.

    Raises:
        ConfigError: If a value is out of range or of the wrong type, or two do not go together.
    """

    data: str = option(
        "", "Dataset, as KIND:PATH (ferplus:DIR, folder:DIR, csv:FILE, parquet:PATH, shards:DIR)."
    )
    labels: str = option("", "Read the labels as hes3, fer7 or ferplus8; empty: the data's own.")
    model: str = option(
        "mienet_s", "Network, a name from 'mien models --architectures', or timm:NAME."
    )
    model_args: str = option("", "Options of the network's constructor: key=value,key=value.")
    size: int = option(0, "Side of the network's input in pixels; 0: the network's own.")
    first_size: int = option(0, "Side of the faces in the first epochs, a quick start; 0: size.")
    first_share: float = option(0.5, "Share of the epochs that are trained at first_size.")
    color: str = option("", "gray or rgb; empty: the network's own. Gray faces fill all channels.")
    weights: str = option("", "Weights to start from: a file, a model's folder or name, or hub.")
    freeze: str = option("none", "none, or features: all but the last layer keep their weights.")
    freeze_epochs: int = option(0, "Epochs that freeze lasts; 0: the whole run.")
    unfreeze: int = option(0, "Stages set free each epoch after that, last first; 0: all at once.")
    layer_decay: float = option(1.0, "Factor on the learning rate for each stage from the head.")
    freeze_bn: bool = option(
        default=False, help_text="Keep the batch norms of the starting weights."
    )
    epochs: int = option(40, "Passes over the training faces.")
    batch_size: int = option(128, "Faces per step, over all devices.")
    optimizer: str = option(
        "sgd", "sgd (Nesterov), momentum, rmsprop, adam, adamw, or timm:NAME (timm:lion)."
    )
    lr: float = option(0.1, "Peak learning rate, reached after the warm-up; 0.1 suits SGD.")
    momentum: float = option(0.9, "Momentum of sgd, momentum and rmsprop.")
    weight_decay: float = option(5e-4, "L2 penalty on weights, not on norms and biases.")
    schedule: str = option(
        "cosine", "cosine, step, exponential, one_cycle, plateau or constant, after the warm-up."
    )
    warmup_epochs: float = option(2.0, "Epochs of warm-up; linear but for one_cycle.")
    decay_factor: float = option(0.1, "Factor of step, exponential and plateau on the rate.")
    decay_every: int = option(10, "Epochs that one factor takes; plateau: without a lower loss.")
    ema_decay: float = option(0.998, "Decay of the averaged weights that are kept; 0 turns it off.")
    loss: str = option(
        "cross_entropy", "cross_entropy, focal, kl, class_balanced, or module:callable."
    )
    teachers: str = option("", "Model folders to learn from, in addition to the labels: DIR,DIR.")
    distill_weight: float = option(0.7, "Share of the loss that is the teachers'.")
    distill_temperature: float = option(2.0, "How much the answers of teachers are softened.")
    distill_views: int = option(
        0, "Ask teachers once, over this many views of a face; 0: each time, of the student's view."
    )
    focal_gamma: float = option(2.0, "How strongly focal passes over faces that are right already.")
    label_smoothing: float = option(0.0, "Share of each target spread over all classes.")
    class_weight: str = option("none", "none, inverse (frequency) or effective (number).")
    class_weight_beta: float = option(0.999, "Beta of effective: 0 weighs all alike.")
    sampler: str = option("shuffle", "shuffle, or weighted: each class is drawn equally often.")
    logit_adjustment: float = option(0.0, "Tau: adds tau times the log of the class shares.")
    dropout: float = option(0.0, "Share of pooled features dropped before the last layer.")
    flip: float = option(0.5, "Chance of a left-right flip.")
    rotate: float = option(15.0, "Largest rotation to either side, degrees.")
    scale_min: float = option(0.85, "Smallest zoom of the face.")
    scale_max: float = option(1.15, "Largest zoom of the face.")
    shift: float = option(0.1, "Largest shift along each axis, as a share of the side.")
    light: float = option(0.3, "Largest relative change of brightness, contrast and gamma.")
    blur: float = option(0.1, "Chance of a Gaussian blur.")
    low_resolution: float = option(0.1, "Chance of shrinking a face and scaling it up again.")
    low_resolution_min: float = option(0.4, "To what share of its side at least.")
    noise: float = option(0.1, "Chance of Gaussian noise.")
    erase: float = option(0.25, "Chance of erasing a rectangle.")
    randaugment: int = option(0, "Operations of RandAugment on each face; 0: none.")
    randaugment_strength: float = option(0.5, "Strength of each, as a share of the strongest.")
    mixup: float = option(0.5, "Chance that a batch is mixed with itself (MixUp).")
    mixup_alpha: float = option(0.3, "Shape of the Beta distribution that MixUp draws from.")
    cutmix: float = option(0.0, "Chance that a batch swaps rectangles with itself (CutMix).")
    cutmix_alpha: float = option(1.0, "Shape of the Beta distribution that CutMix draws from.")
    mixup_off: float = option(0.15, "Share of epochs at the end without MixUp and CutMix.")
    patience: int = option(0, "Stop after this many epochs without a better validation; 0: never.")
    callbacks: str = option("", "Your own Lightning callbacks: module:Class,module:Class.")
    tracker: str = option("none", "none, tensorboard, wandb or mlflow; metrics.csv always.")
    limit: int = option(0, "Train on at most this many faces, for trials; 0: all.")
    precision: str = option("auto", "auto, 32 or bf16 (auto: bf16 where the hardware has it).")
    device: str = option("auto", "auto, cpu, cuda or mps.")
    threads: int = option(0, "CPU threads; 0: as many as there are cores.")
    devices: int = option(1, "Processes that train together here, a GPU each; they share a batch.")
    num_nodes: int = option(1, "Machines that train together; start the same command on each.")
    workers: int = option(2, "Processes that read shards ahead; 0: none but the training's own.")
    shuffle_buffer: int = option(8192, "Faces of shards that are held and shuffled at a time.")
    tag: str = option("", "Second half of the model's name; empty: the name of its label schema.")
    license: str = option("unknown", "Licence of the weights, for the model card.")
    seed: int = option(0, "Seed of weights, order and augmentation.")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, coerce(item.name, value, hints[item.name]))
        check_config(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the resolved values, in the order of the fields."""
        return asdict(self)


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
