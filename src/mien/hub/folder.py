"""Model folders: what lies in them, reading, checking and writing.

A model folder is a run directory is a Hub repository::

    config.json          timm's format plus one top-level ``mien`` block (see ModelConfig)
    model.onnx           outputs ``logits`` (N, K) and ``features`` (N, F, h, w)
    model.safetensors    the weights, for training on and for the torch backend
    model.<format>.*     other forms of the same network (``mien export --format``)
    README.md            the model card
    eval/*.json          evaluations
    args.yaml, metrics.csv   how it was trained

The sha256 of each stands in ``config.json``. A path to one of the networks of a folder is that
model run with that network: ``mien predict photo.jpg -m runs/x/model.int8-static.onnx``.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import write_text
from mien.conformal import ConformalThresholds
from mien.errors import ConfigError, MienError, ModelError, suggest
from mien.images.source import address_of
from mien.labels import LabelSchema
from mien.metrics import softmax
from mien.preprocess import Preprocessing
from mien.priors import ClassPrior, reweigh
from mien.quality import QualityBounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mien.arrays import F64, Floats
    from mien.config import Saved

#: Version of the ``mien`` block; readers refuse newer ones.
FORMAT = 2
CONFIG = "config.json"
ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
CARD = "README.md"
#: Endings of networks that a recognizer can run.
NETWORKS = (".onnx", ".xml")
ASSETS = Path(__file__).parents[1] / "assets"
DEFAULT_MODEL = "mienet_s.faces8"
#: What was fitted to a model and need not be there, by its key.
_FITTED: dict[str, type[Saved]] = {
    "conformal": ConformalThresholds, "quality": QualityBounds, "prior": ClassPrior,
}  # fmt: skip


@dataclass(frozen=True)
class ModelConfig:
    """The meaning of a model's weights.

    Args:
        architecture: Registry key of the network.
        tag: What it was trained on; ``<architecture>.<tag>`` names the model.
        schema: Labels in the order of the outputs.
        preprocessing: How a crop becomes the input.
        num_features: Channels F of the last feature map; 0 where there is none.
        classifier: Name of the last linear layer, as its weights are called.
        model_args: Options of the network's constructor beyond classes and channels.
        crop_margin: Factor on the side of the detector's framed square.
        temperature: The logits are divided by it before softmax.
        conformal: Thresholds of its prediction sets; None: it has none.
        quality: Bounds on faces like those it was measured on; None: it has none.
        prior: Shares of the labels inside its probabilities; None: not recorded.
        license: Licence of the weights.
        data: What the weights were trained on, in a sentence.
        sources: Of several datasets, by name: ``kind``, ``license``, ``train`` faces, and the
            ``share`` of the faces drawn.
        metrics: Numbers with intervals, by dataset and split.
        files: By file name: ``{"sha256": ..., "bytes": ...}``; for other forms of the network
            also its ``"format"``, ``"weight_bits"`` where it is int8, and ``"with"``, names of
            files that belong to it.

    Raises:
        ConfigError: If a number is out of range.
    """

    architecture: str
    tag: str
    schema: LabelSchema
    preprocessing: Preprocessing
    num_features: int = 0
    classifier: str = "head"
    model_args: Mapping[str, Any] = field(default_factory=dict)
    crop_margin: float = 1.0
    temperature: float = 1.0
    conformal: ConformalThresholds | None = None
    quality: QualityBounds | None = None
    prior: ClassPrior | None = None
    license: str = "unknown"
    data: str = "unknown"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("temperature", "crop_margin"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ConfigError(f"must be a number above 0; got {value!r}", subject=name)
        fitted = self.conformal
        if fitted is not None and len(fitted.thresholds) != len(self.schema):
            given = f"{len(fitted.thresholds)} thresholds for {len(self.schema)} labels."
            raise ConfigError(f"conformal: {given}")
        known, count = self.prior, len(self.schema)
        if known is not None and {len(known.shares), len(known.own or known.shares)} != {count}:
            raise ConfigError(f"prior: one share is needed for each of {count} labels.")

    @property
    def name(self) -> str:
        """``<architecture>.<tag>``."""
        return f"{self.architecture}.{self.tag}"

    def calibrated(self, logits: Floats, target: Sequence[float] | None = None) -> F64:
        """Turns logits (N, K) into calibrated probabilities (N, K).

        Args:
            logits: What the network gives.
            target: Shares (K,) of the labels to answer for; None: the prior's own, or those inside.
        """
        probs, prior = softmax(logits, temperature=self.temperature), self.prior
        if prior is None or (target is None and prior.own is None):
            return probs
        return reweigh(probs, prior.held, np.array(prior.own if target is None else target))

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of ``config.json``."""
        p = self.preprocessing
        fitted = {name: getattr(self, name) for name in _FITTED}
        timm = {
            "tag": self.tag, "input_size": [p.channels, p.size, p.size], "fixed_input_size": True,
            "interpolation": p.interpolation, "crop_pct": 1.0, "mean": list(p.mean),
            "std": list(p.std), "num_classes": len(self.schema), "license": self.license,
            "classifier": self.classifier,
        }  # fmt: skip
        return {
            "architecture": self.architecture,
            "num_classes": len(self.schema),
            "num_features": self.num_features,
            "model_args": dict(self.model_args),
            "label_names": list(self.schema.labels),
            "pretrained_cfg": timm,
            "mien": {
                "format": FORMAT,
                "schema": self.schema.to_dict(),
                "preprocessing": p.to_dict(),
                "crop_margin": self.crop_margin,
                "temperature": self.temperature,
                **{name: value.to_dict() for name, value in fitted.items() if value is not None},
                "license": self.license,
                "data": self.data,
                **({"sources": dict(self.sources)} if self.sources else {}),
                "metrics": dict(self.metrics),
                "files": {name: dict(entry) for name, entry in self.files.items()},
            },
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ModelConfig:
        """Builds it from the content of ``config.json``.

        Raises:
            ConfigError: If the ``mien`` block is missing, newer than this version, or damaged.
        """
        block = value.get("mien")
        if not isinstance(block, dict):
            raise ConfigError("config.json has no 'mien' block: it was not written by mien.")
        if (version := block.get("format")) != FORMAT:
            reason = f"has format {version!r} in its 'mien' block, but this version reads {FORMAT}"
            hint = (
                "An earlier version of mien wrote it: train or fetch the model again."
                if version == 1
                else "Type: pip install -U mien"
            )
            raise ConfigError(reason, subject=CONFIG, hint=hint)
        try:
            given = {name: kind for name, kind in _FITTED.items() if block.get(name)}
            fitted: Any = {name: kind.from_dict(block[name]) for name, kind in given.items()}
            timm = value["pretrained_cfg"]
            return cls(
                str(value["architecture"]),
                str(timm["tag"]),
                LabelSchema.from_dict(block["schema"]),
                Preprocessing.from_dict(block["preprocessing"]),
                num_features=int(value.get("num_features", 0)),
                classifier=str(timm.get("classifier", "head")),
                model_args=dict(value.get("model_args") or {}),
                crop_margin=block["crop_margin"],
                temperature=block["temperature"],
                license=str(block.get("license", "unknown")),
                data=str(block.get("data", "unknown")),
                metrics=dict(block.get("metrics") or {}),
                files={str(k): dict(v) for k, v in dict(block.get("files") or {}).items()},
                sources={str(k): dict(v) for k, v in dict(block.get("sources") or {}).items()},
                **fitted,
            )
        except ConfigError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"config.json is damaged: {error!r}.") from error


@dataclass(frozen=True)
class ModelFolder:
    """A folder and what its ``config.json`` says.

    Args:
        path: The folder.
        config: What it says.
        network: Name of the file to run where ``model.onnx`` is asked for.
    """

    path: Path
    config: ModelConfig
    network: str = ONNX

    def file(self, name: str) -> Path:
        """Returns the path of a weight file after checking that it is the one meant.

        ``model.onnx`` stands for the network that the folder was opened with.

        Raises:
            ModelError: If it, or a file that belongs to it, is missing, or its sha256 is not the
                one in ``config.json``.
        """
        name = self.network if name == ONNX else name
        for companion in self.config.files.get(name, {}).get("with", ()):
            self._checked(str(companion))
        return self._checked(name)

    def _checked(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            there = sorted(entry.name for entry in self.path.iterdir() if entry.is_file())
            what = f"mien export {self.path}" if name != WEIGHTS else "--backend onnx"
            listed = f"has no {name} (it has: {', '.join(there) or 'nothing'})"
            raise ModelError(listed, subject=self.path, hint=f"Type: {what}")
        expected = self.config.files.get(name, {}).get("sha256")
        if expected is not None and (found := sha256(path)) != expected:
            reason = (
                f"is damaged or was changed: its sha256 is {found[:16]}…, but {CONFIG} says "
                f"{str(expected)[:16]}…"
            )
            raise ModelError(reason, subject=path, hint="Fetch or export it again.")
        return path


def sha256(path: Path) -> str:
    """Returns the hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def bundled_models() -> list[str]:
    """Returns the names of the models inside the package."""
    return sorted(entry.parent.name for entry in ASSETS.glob(f"*/{CONFIG}"))


def refuse_bundled(model: str | Path | None) -> str | Path | None:
    """Returns a model that is to be changed; one that is installed is refused by ConfigError."""
    path = ASSETS / model if model in bundled_models() else Path(model or "")
    if path.resolve().parent == ASSETS.resolve():
        reason = "is the installed model, which every project here shares: it is not changed"
        hint = f"Copy it, and give the copy: cp -r {path} {path.name}"
        raise ConfigError(reason, subject=path.name, hint=hint)
    return model


def name_models(entries: Iterable[str]) -> dict[str, str]:
    """Returns name -> folder or bundled name of entries ``FOLDER`` or ``NAME=FOLDER``.

    Raises:
        ConfigError: If a name stands twice, or a part is empty.

    >>> name_models(["runs/a", "mine=runs/b"])
    {'a': 'runs/a', 'mine': 'runs/b'}
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, path = entry.partition("=")
        name, path = (name, path) if equals else (Path(entry).name or entry, entry)
        if name in found or not name or not path:
            raise ConfigError(f"model {entry!r}: expected NAME=FOLDER with a new NAME.")
        found[name] = path
    return found


def read_model_folder(model: str | Path | None = None) -> ModelFolder:
    """Finds and reads a model folder.

    Args:
        model: A folder, a network file in one, the name of a bundled model, or None for the
            default one.

    Raises:
        ModelError: If there is no such folder or name, or its ``config.json`` is unusable.
    """
    name: Any = DEFAULT_MODEL if model is None else model
    if not isinstance(name, (str, Path)):
        hint = "Several make one network: mien ensemble."
        raise ConfigError(f"model must be one path or name; got {name!r}", hint=hint)
    path, network = Path(name), ONNX
    if isinstance(name, str) and name in bundled_models():
        path = ASSETS / name
    if path.suffix in NETWORKS and path.is_file() and (path.parent / CONFIG).is_file():
        path, network = path.parent, path.name
    if not path.is_dir():
        there = (
            "a file, not a model folder"
            if path.exists()
            else "neither a folder nor a bundled model"
        )
        said = f"model {address_of(str(name)) or str(name)!r} is {there}."
        if match := re.search(r"huggingface\.co/+([\w.-]+/[\w.-]+)", str(name)):
            fetch = f"EmotionRecognizer.from_pretrained({match[1]!r})"
            raise ModelError(said, hint=f"A model of the Hub is fetched by {fetch}.")
        raise ModelError(said + suggest(str(name), bundled_models()))
    config = path / CONFIG
    try:
        value = json.loads(config.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ConfigError("config.json is no JSON object.")
        return ModelFolder(path, ModelConfig.from_dict(value), network)
    except OSError as error:
        reason = f"is no model folder: {CONFIG}: {error.strerror or error}"
        raise ModelError(reason, subject=path) from error
    except (ValueError, MienError) as error:
        raise ModelError(f"cannot be used: {error}", subject=config) from error


def write_config(path: Path, config: ModelConfig) -> ModelFolder:
    """Writes ``config.json`` with the sha256 of every weight file next to it.

    What ``config.files`` says of a file beyond that is kept.
    """
    files = {
        entry.name: {
            **config.files.get(entry.name, {}),
            "sha256": sha256(entry),
            "bytes": entry.stat().st_size,
        }
        for entry in sorted(path.iterdir())
        if entry.suffix in {".onnx", ".safetensors"} or entry.name in config.files
    }
    config = replace(config, files=files)
    write_text(path / CONFIG, json.dumps(config.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return ModelFolder(path, config)
