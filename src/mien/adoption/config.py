"""What a person says of a classifier that its graph does not tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.adoption.graph import LAYOUTS
from mien.config import Config, above_zero, from_one, one_of, option
from mien.errors import ConfigError
from mien.labels import ALIASES, FERPLUS8, SCHEMAS, LabelSchema
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from mien.adoption.graph import GraphFacts


@dataclass(frozen=True)
class AdoptConfig(Config):
    """What is said of a classifier; None or ``"auto"``: it is read from the graph.

    A pixel p of 0..255 goes in as ``(p * scale - mean) / std``, by channel.

    Raises:
        ConfigError: If a value is unknown or impossible.
    """

    labels: tuple[str, ...] | None = option(
        None, "Class names in the order of the outputs, or a file of them.", repeat=False
    )
    size: int | None = from_one(None, "Side of the input in pixels.")
    color: str | None = option(
        None, "gray, rgb, or bgr (trained on pictures read by OpenCV).",
        choices=("gray", "rgb", "bgr"),
    )  # fmt: skip
    mean: tuple[float, ...] | None = option(
        None, "Subtracted after --scale; one, or one per channel.", repeat=False
    )
    std: tuple[float, ...] | None = option(None, "Divided by after --mean.", repeat=False)
    scale: float | None = above_zero(None, "Pixels 0..255 are multiplied by it: 1/255, 1.")
    layout: str = one_of("Order of the axes", "auto", *LAYOUTS)
    activation: str = one_of("What comes out", "auto", "logits", "softmax")
    interpolation: str = one_of("How faces are scaled", "bilinear", "bicubic", "lanczos")
    output_name: str | None = option(None, "Which output holds the scores, if there are several.")

    def check(self) -> None:
        """Resolves labels that are the name of a schema or a file."""
        if self.labels is not None and len(self.labels) == 1:
            object.__setattr__(self, "labels", read_labels(self.labels[0]))


def missing_settings(facts: GraphFacts, settings: AdoptConfig) -> dict[str, str]:
    """Returns what neither the graph nor the person has said: by flag, what it is for."""
    missing = {}
    if settings.labels is None and facts.labels is None:
        missing["--labels"] = "class names in the order of the outputs, as in neutral,happiness"
    if settings.size is None and facts.size is None:
        missing["--size"] = "side of the square input in pixels"
    if settings.color is None and facts.channels != 1:
        missing["--color"] = "gray, rgb, or bgr where it was trained on OpenCV's pictures"
    flat_gray = facts.rank == 2 and (facts.channels == 1 or settings.color == "gray")
    if settings.layout == "auto" and facts.layout is None and not flat_gray:
        missing["--layout"] = "nchw (channels first) or nhwc (channels last)"
    said = (settings.mean, settings.std, settings.scale)
    if not facts.takes_bytes and all(value is None for value in said):
        missing["--scale"] = (
            "what pixels 0..255 are multiplied by: 1/255 for 0..1, 1 where the network scales "
            "them itself; then --mean and --std where it was trained with them"
        )
    return missing


def resolve_preprocessing(facts: GraphFacts, settings: AdoptConfig) -> Preprocessing:
    """Returns the preprocessing that graph and person agree on; all missing flags are listed."""
    missing = missing_settings(facts, settings)
    if missing:
        lines = "; ".join(f"{flag} ({what})" for flag, what in missing.items())
        raise ConfigError("the graph does not tell everything", hint=f"Type also: {lines}.")
    size = settings.size or facts.size
    color = settings.color or "gray"
    channels = 1 if color == "gray" else 3
    for flag, said, read in (
        ("--size", size, facts.size),
        ("--color", channels, facts.channels),
        ("--layout", settings.layout, facts.layout if facts.rank == 4 else None),
    ):
        if read is not None and said not in (read, "auto"):
            reason = f"says {said}, but the graph says {read}: leave {flag} out"
            raise ConfigError(reason, subject=flag)
    scale = settings.scale or (1.0 if facts.takes_bytes else 1 / 255)
    fixed: list[tuple[float, ...]] = []
    for flag, values in (("--mean", settings.mean or (0.0,)), ("--std", settings.std or (1.0,))):
        if len(values) not in (1, channels):
            reason = f"needs 1 number, or one for each of {channels} channel(s); got {len(values)}"
            raise ConfigError(reason, subject=flag)
        ordered = values[::-1] if color == "bgr" else values
        each = ordered * channels if len(values) == 1 else ordered
        fixed.append(tuple(value / (255 * scale) for value in each))
    return Preprocessing(
        size=int(size or 0),
        color="gray" if color == "gray" else "rgb",
        interpolation=settings.interpolation,
        normalization="fixed",
        mean=fixed[0],
        std=fixed[1],
    )


def read_labels(text: str) -> tuple[str, ...]:
    """Reads class names: a list with commas, a schema's name, or a file of lines or a JSON list.

    >>> read_labels("happy, sad,angry")
    ('happy', 'sad', 'angry')
    >>> read_labels("hes3")
    ('angry', 'happy', 'sad')
    """
    if text in SCHEMAS:
        return SCHEMAS[text].labels
    if "," in text:
        return tuple(name.strip() for name in text.split(","))
    try:
        content = Path(text).read_text(encoding="utf-8")
        names = json.loads(content) if content.lstrip().startswith("[") else content.split("\n")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--labels {text!r} is neither a list as in happy,sad nor a file that can be read: "
            f"{error}."
        ) from error
    return tuple(str(name).strip() for name in names if str(name).strip())


def schema_of(labels: tuple[str, ...]) -> LabelSchema:
    """Returns the schema of a classifier's labels, in their order.

    Spellings of the field become its nouns, with all aliases, where every label is one; otherwise
    labels stay as they are.

    >>> schema_of(("happy", "Sad", "angry")).labels
    ('happiness', 'sadness', 'anger')
    """
    known = all(label in FERPLUS8 for label in labels)
    names = tuple(FERPLUS8.labels[FERPLUS8.index(label)] for label in labels) if known else labels
    for schema in SCHEMAS.values():
        if schema.labels in (labels, names):
            return schema
    return LabelSchema("custom", names, {name: ALIASES[name] for name in names if name in ALIASES})
