"""The recipe: one flat dataclass whose fields are YAML keys, flags and Python arguments at once.

Nothing heavy is imported here, so that the command line can list its flags without torch.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.config import (
    Config,
    above_zero,
    below_one,
    from_one,
    from_zero,
    is_foreign,
    one_of,
    option,
    share,
    switch,
)
from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["TrainConfig"]

#: How classes are weighed without naming them.
CLASS_WEIGHTS = ("none", "inverse", "effective")
#: What can choose the epoch; those with a mean, or with the name of a dataset, need several.
MONITORS = ("accuracy", "macro_f1", "loss", "mean_accuracy", "mean_macro_f1")


#: Name -> values that a preset stands for: ``small`` for some hundred faces, from the bundled
#: weights; ``quick`` for a first answer; ``best`` as the bundled model was trained.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "weights": "mienet_s.faces8", "epochs": 15, "batch_size": 32, "lr": 0.02,
        "warmup_epochs": 1, "ema_decay": 0.99, "mixup": 0.2,
    },
    "quick": {
        "epochs": 12, "first_size": 32, "first_share": 0.6, "schedule": "one_cycle",
        "warmup_epochs": 3, "ema_decay": 0.99,
    },
    "best": {
        "epochs": 100, "first_size": 32, "ema_decay": 0.999, "scale_max": 1.3,
        "low_resolution": 0.15,
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """Everything that decides a training run.

    Raises:
        ConfigError: If a value is out of range or of the wrong type, or two do not go together.
    """

    data: str | tuple[str, ...] = option(
        "",
        "Dataset, as KIND:PATH (ferplus:DIR, folder:DIR, csv:FILE, parquet:PATH, shards:DIR); "
        "repeat it for several: KIND:PATH,name=NAME,weight=SHARE, the share of the faces drawn.",
        short="-d",
    )
    preset: str = one_of(
        "Values for a start, which all others win over; small: some hundred faces, from the "
        "bundled weights; quick: a first answer; best: as the bundled model",
        *("", *PRESETS),
    )
    labels: str = option(
        "", "Read the labels as hes3, fer7, ferplus8 or your own (happy,sad); empty: the data's."
    )
    model: str = option(
        "mienet_s",
        "Network, a name from 'mien models --architectures', timm:NAME, or with its weights a "
        "Hub id or folder in transformers' layout.",
    )
    model_args: str = option("", "Options of the network's constructor: key=value,key=value.")
    size: int = option(
        0, "Side of the network's input in pixels; 0: the network's own.", low=0, high=1024
    )
    first_size: int = option(
        0, "Side of the faces in the first epochs, a quick start; 0: size.", low=0, high=1024
    )
    first_share: float = share(0.5, "Share of the epochs that are trained at first_size.")
    color: str = one_of(
        "Colour of the faces, gray fills all channels; empty: the network's own", "", "gray", "rgb"
    )
    weights: str = option("", "Weights to start from: a file, a model's folder or name, or hub.")
    freeze: str = one_of(
        "What keeps its weights; features: all but the last layer", "none", "features"
    )
    freeze_epochs: int = from_zero(0, "Epochs that freeze lasts; 0: the whole run.")
    unfreeze: int = from_zero(
        0, "Stages that unfreeze per epoch after that, last first; 0: all at once."
    )
    layer_decay: float = option(
        1.0, "Factor on the learning rate for each stage from the head.", low=1e-12, high=1
    )
    freeze_bn: bool = switch("Keep the batch norms of the starting weights.")
    epochs: int = from_one(40, "Passes over the training faces.")
    batch_size: int = option(
        128,
        "Faces per step, over all devices together; auto: on a GPU the most that fit.",
        low=2, short="-b", auto=True,
    )  # fmt: skip
    optimizer: str = one_of(
        "Optimiser", "sgd", "momentum", "rmsprop", "adam", "adamw", own="timm:NAME, module:callable"
    )
    lr: float = above_zero(0.1, "Peak learning rate, reached after the warm-up; 0.1 suits SGD.")
    momentum: float = below_one(0.9, "Momentum of sgd, momentum and rmsprop.")
    weight_decay: float = from_zero(5e-4, "L2 penalty on weights, not on norms and biases.")
    schedule: str = one_of(
        "Course of the learning rate after the warm-up",
        *("cosine", "step", "exponential", "one_cycle", "plateau", "constant"),
        own="module:callable",
    )
    warmup_epochs: float = from_zero(2.0, "Epochs of warm-up; linear but for one_cycle.")
    decay_factor: float = option(
        0.1, "Factor of step, exponential and plateau on the rate.", low=1e-12, high=1
    )
    decay_every: int = from_one(10, "Epochs that one factor takes; plateau: without a lower loss.")
    ema_decay: float = below_one(
        0.998, "Decay of the averaged weights that are kept; 0 turns it off."
    )
    loss: str = one_of(
        "Loss", "cross_entropy", "focal", "kl", "class_balanced", own="module:callable"
    )
    teachers: str = option("", "Model folders to learn from as well as the labels: DIR,DIR.")
    distill_weight: float = share(0.7, "Share of the loss that is the teachers'.")
    distill_temperature: float = above_zero(2.0, "How much the answers of teachers are softened.")
    distill_views: int = option(
        0,
        "Views of a face that teachers answer once, at the start; 0: the student's view, always.",
        low=0,
        high=64,
    )
    focal_gamma: float = from_zero(
        2.0, "How strongly focal passes over faces that are right already."
    )
    label_smoothing: float = below_one(0.0, "Share of each target spread over all classes.")
    class_weight: str = option(
        "none",
        "Weights of classes: none, by frequency (inverse), by effective number (effective), or by "
        "hand, as in angry=2,happy=0.5; those not named have 1.",
    )
    class_weight_beta: float = below_one(0.999, "Beta of effective: 0 weighs all alike.")
    sampler: str = one_of("Order; weighted draws each class equally often", "shuffle", "weighted")
    logit_adjustment: float = from_zero(0.0, "Tau: adds tau times the log of the class shares.")
    logit_adjustment_by: str = one_of(
        "Whose class shares; source: those of each face's own dataset", "all", "source"
    )
    dropout: float = below_one(0.0, "Share of pooled features dropped before the last layer.")
    flip: float = share(0.5, "Chance of a left-right flip.")
    rotate: float = from_zero(15.0, "Largest rotation to either side, degrees.")
    scale_min: float = above_zero(0.85, "Smallest zoom of the face.")
    scale_max: float = option(1.15, "Largest zoom of the face.")
    shift: float = share(0.1, "Largest shift along each axis, as a share of the side.")
    light: float = below_one(0.3, "Largest relative change of brightness, contrast and gamma.")
    blur: float = share(0.1, "Chance of a Gaussian blur.")
    low_resolution: float = share(0.1, "Chance of shrinking a face and scaling it up again.")
    low_resolution_min: float = option(
        0.4, "To what share of its side at least.", low=0.05, high=0.8
    )
    noise: float = share(0.1, "Chance of Gaussian noise.")
    erase: float = share(0.25, "Chance of erasing a rectangle.")
    augmentation: str = option("", "One of your own, module:callable, after those above.")
    randaugment: int = option(0, "Operations of RandAugment on each face; 0: none.", low=0, high=16)
    randaugment_strength: float = share(0.5, "Strength of each, as a share of the strongest.")
    mixup: float = share(0.5, "Chance that a batch is mixed with itself (MixUp).")
    mixup_alpha: float = above_zero(0.3, "Shape of the Beta distribution that MixUp draws from.")
    cutmix: float = share(0.0, "Chance that a batch swaps rectangles with itself (CutMix).")
    cutmix_alpha: float = above_zero(1.0, "Shape of the Beta distribution that CutMix draws from.")
    mixup_off: float = share(0.15, "Share of epochs at the end without MixUp and CutMix.")
    monitor: str = option(
        MONITORS[0],
        "Score of the validation that chooses the epoch: accuracy, macro_f1, loss; of several "
        "datasets also accuracy/NAME, macro_f1/NAME, mean_accuracy, mean_macro_f1.",
    )
    patience: int = from_zero(
        0, "Stop after this many epochs without a better validation; 0: never."
    )
    callbacks: str = option("", "Your own callbacks: module:Class,module:Class.")
    logger: str = one_of(
        "Where metrics go besides metrics.csv",
        *("none", "tensorboard", "wandb", "mlflow"),
        own="module:callable",
    )
    limit: int = from_zero(0, "Train on at most this many faces, of each class its share; 0: all.")
    precision: str = one_of("Numbers; auto: bf16 where the hardware has it", "auto", "32", "bf16")
    device: str = one_of("Hardware", "auto", "cpu", "cuda", "mps", own="cuda:1")
    threads: int = from_zero(0, "CPU threads; 0: as many as there are cores.")
    devices: int = from_one(
        1, "Processes that train together here, one per GPU; they share a batch."
    )
    num_nodes: int = from_one(1, "Machines that train together; start the same command on each.")
    workers: int = from_zero(
        2, "Processes that read shards ahead; 0: none but the training's own.", short="-j"
    )
    shuffle_buffer: int = from_one(8192, "Faces of shards that are held and shuffled at a time.")
    tag: str = option("", "Second half of the model's name; empty: the name of its label schema.")
    license: str = option("unknown", "Licence of the weights, for the model card.")
    imports: tuple[str, ...] = option(
        (), "Module or file with networks and readers of your own; repeat it.", flag="--import"
    )
    seed: int = from_zero(0, "Seed of weights, order and augmentation.")

    @classmethod
    def complete(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of the preset that is named, with those given laid over."""
        return {**PRESETS.get(str(values.get("preset", "")), {}), **values}

    def check(self) -> None:
        """Refuses values that contradict each other; the usual warm-up bends to few epochs."""
        usual = PRESETS.get(self.preset, {}).get("warmup_epochs", type(self).warmup_epochs)
        if self.warmup_epochs == usual and self.epochs <= usual:
            object.__setattr__(self, "warmup_epochs", self.epochs / 2)
        _check_numbers(self)
        _check_transfer(self)
        _check_balance(self)
        if "/" not in self.monitor or self.monitor.partition("/")[0] not in MONITORS[:2]:
            check_monitor(self.monitor, MONITORS)


def _refuse(is_wrong: object, reason: str) -> None:
    if is_wrong:
        raise ConfigError(reason)


def _check_numbers(config: TrainConfig) -> None:
    _refuse(
        ":" in config.device and not re.fullmatch(r"cuda:\d+", config.device),
        f"device must be auto, cpu, cuda, cuda:1 or mps; got {config.device!r}.",
    )
    _refuse(
        config.scale_max < config.scale_min,
        f"scale_max ({config.scale_max}) must not be below scale_min ({config.scale_min}).",
    )
    _refuse(
        config.warmup_epochs >= config.epochs,
        f"warmup_epochs ({config.warmup_epochs}) must be below epochs ({config.epochs}).",
    )
    for name, zero in (("size", "the network's own"), ("first_size", "off")):
        side = getattr(config, name)
        _refuse(0 < side < 8, f"{name} must be 0 ({zero}) or at least 8; got {side}.")


def _check_transfer(config: TrainConfig) -> None:
    has_weights = config.weights or is_foreign(config.model)
    _refuse(
        config.freeze == "none" and (config.freeze_epochs or config.unfreeze),
        "freeze_epochs and unfreeze say how long features stay frozen: they need freeze: features.",
    )
    _refuse(
        config.freeze_epochs >= config.epochs,
        f"freeze_epochs ({config.freeze_epochs}) must be below epochs ({config.epochs}); "
        "0 freezes for the whole run.",
    )
    _refuse(
        config.unfreeze and not config.freeze_epochs,
        "unfreeze needs freeze_epochs: how long the head trains alone first.",
    )
    _refuse(
        config.freeze == "features" and not has_weights,
        "freeze: features without weights would keep features of chance: give "
        "weights (a file, a model folder, or hub), or freeze: none.",
    )
    _refuse(
        config.freeze_bn and not has_weights,
        "freeze_bn without weights would keep the statistics of no data at all: give weights.",
    )
    _refuse(
        config.distill_views and not config.teachers,
        "distill_views needs teachers: name them, teachers: DIR.",
    )


def parse_class_weights(text: str) -> dict[str, float]:
    """Reads weights of classes by hand; empty where ``class_weight`` is the name of a way.

    >>> parse_class_weights("angry=2, happy=0.5"), parse_class_weights("inverse")
    ({'angry': 2.0, 'happy': 0.5}, {})
    """
    if text in CLASS_WEIGHTS:
        return {}
    if "=" not in text:
        raise ConfigError(
            f"{text!r} is unknown.{suggest(text, CLASS_WEIGHTS)}",
            subject="class_weight",
            hint=""
            if suggest(text, CLASS_WEIGHTS).startswith(" Did")
            else "By hand: angry=2,happy=0.5.",
        )
    weights: dict[str, float] = {}
    for part in split_names(text):
        label, _, value = part.partition("=")
        try:
            weights[label.strip()] = float(value)
        except ValueError:
            weights[label.strip()] = math.nan
        if not 0 <= weights[label.strip()] < math.inf:
            reason = f"{part!r} must be a label and a number of 0 or more, as in angry=2"
            raise ConfigError(reason, subject="class_weight")
    return weights


def _check_balance(config: TrainConfig) -> None:
    parse_class_weights(config.class_weight)
    _refuse(
        config.loss == "class_balanced" and config.class_weight not in ("none", "effective"),
        "loss: class_balanced weighs by the effective number: for another class_weight give "
        "loss: cross_entropy.",
    )
    weighs = config.class_weight != "none" or config.loss == "class_balanced"
    _refuse(
        weighs and ":" in config.loss,
        f"class_weight does not reach into a loss of your own ({config.loss}): weigh there.",
    )
    measures = {
        "sampler: weighted": config.sampler == "weighted",
        "logit_adjustment": config.logit_adjustment > 0,
        "class weights": weighs,
    }
    chosen = [name for name, is_on in measures.items() if is_on]
    _refuse(
        len(chosen) > 1,
        f"{' and '.join(chosen)} each make up for rare classes; together they do it twice: keep "
        "one of them",
    )


def check_data(config: TrainConfig) -> None:
    """Refuses a recipe without a dataset."""
    if not config.data:
        raise ConfigError("no dataset: give --data KIND:PATH, for example --data folder:faces.")


def check_monitor(monitor: str, known: Iterable[str]) -> None:
    """Refuses a monitor that is none of those known."""
    if monitor not in known:
        raise ConfigError(f"{monitor!r} is unknown.{suggest(monitor, known)}", subject="monitor")


def list_monitors(names: Sequence[str]) -> list[str]:
    """Returns what can choose the epoch of a training on datasets of these names."""
    if len(names) < 2:
        return list(MONITORS[:3])
    return [*MONITORS, *(f"{score}/{name}" for name in names for score in MONITORS[:2])]


def split_names(text: str) -> list[str]:
    """Returns the names in a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
