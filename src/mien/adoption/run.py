"""From an ONNX file and what is said of it to a model folder that was tried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.adoption.config import AdoptConfig, resolve_preprocessing, schema_of
from mien.adoption.graph import GraphFacts, read_facts, rewrite
from mien.atomic import replacing, write_text
from mien.backends.session import import_onnxruntime
from mien.errors import ConfigError, ModelError, first_line
from mien.exporting.graph import import_onnx
from mien.hub import CARD, CONFIG, ONNX, ModelConfig, ModelFolder, write_config
from mien.hub.card import model_card
from mien.preprocess import Preprocessing, normalize

if TYPE_CHECKING:
    from pathlib import Path

    from mien.arrays import F32
    from mien.data import Manifest
    from mien.evaluation import Evaluation

#: Labelled faces that an adopted model is tried on, at most.
CHECK_FACES = 1000


@dataclass(frozen=True, eq=False)
class Adoption:
    """A model folder made of a foreign network.

    Args:
        folder: The folder.
        facts: What was read of the graph.
        probabilities: Whether the graph gave probabilities rather than logits.
        evaluation: What it says of labelled faces, or None where none were given.
    """

    folder: ModelFolder
    facts: GraphFacts
    probabilities: bool
    evaluation: Evaluation | None = None

    @property
    def warning(self) -> str:
        """Why labels or normalisation may be wrong; empty where nothing speaks for it."""
        if self.evaluation is None:
            return ""
        scores, classes = self.evaluation.scores(), len(self.evaluation.labels)
        if scores["accuracy_ci"][0] > 1 / classes:
            return ""
        return (
            f"right on {scores['accuracy']:.1%} of {scores['n']} faces, no better than chance "
            f"among {classes} labels: check the order of --labels, --scale, --mean, --std and "
            "--color."
        )


def adopt(
    path: Path,
    output: Path,
    settings: AdoptConfig,
    *,
    name: str | None = None,
    license: str = "unknown",  # noqa: A002 - the card's word
    check: Manifest | None = None,
    split: str = "valid",
    overwrite: bool = False,
) -> Adoption:
    """Makes a model folder of a classifier trained elsewhere, which runs like any other from then.

    Args:
        path: An ONNX file: layout (N, C, H, W), (N, H, W, C), (N, H, W) or flattened; logits or
            probabilities; scikit-learn's maps too.
        output: Folder to write.
        settings: What the graph does not tell.
        name: Architecture in the model's name; None: the file's stem.
        license: Licence of the weights.
        check: Labelled faces to try it on; up to 1,000 of one split are taken.
        split: The split.
        overwrite: Replace a model folder that exists.

    Raises:
        ConfigError: If something is missing or contradicts the graph, labels and outputs differ in
            number, or the folder exists.
        ModelError: If the file is damaged or no classifier of faces.
        DataError: If the labelled faces cannot be read.
        MissingExtraError: If onnx is not installed.
    """
    if (output / CONFIG).exists() and not overwrite:
        raise ConfigError("is a model folder: type --overwrite, or give another -o", subject=output)
    model, facts = read_facts(path, output=settings.output_name)
    preprocessing = resolve_preprocessing(facts, settings)
    layout = facts.layout or settings.layout
    if facts.rank < 4 and settings.layout != "auto":
        layout = settings.layout
    form: dict[str, Any] = {"layout": layout, "bgr": settings.color == "bgr"}
    plain = rewrite(model, facts, preprocessing, **form)
    scores = _try_out(path, plain, preprocessing)
    probabilities = _gives_probabilities(path, scores, settings.activation)
    schema = schema_of(settings.labels or facts.labels or ())
    if len(schema) != scores.shape[1]:
        raise ConfigError(
            f"has {scores.shape[1]} outputs, but {len(schema)} labels were given "
            f"({', '.join(schema.labels)}): every output needs its label, in order",
            subject=path,
        )
    rewritten = rewrite(model, facts, preprocessing, probabilities=probabilities, **form)
    config = ModelConfig(
        architecture=name or path.stem, tag="adopted", schema=schema, preprocessing=preprocessing,
        license=license, data="unknown",
    )  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / ONNX) as temporary:
        import_onnx().save_model(rewritten, temporary)
    folder = write_config(output, config)
    write_text(output / CARD, model_card(folder))
    if check is None:
        return Adoption(folder, facts, probabilities)
    from mien.evaluation import evaluate
    from mien.recognizer import EmotionRecognizer

    part = check.split(split).with_labels()
    order = np.random.default_rng(0).permutation(len(part))[:CHECK_FACES]
    recognizer = EmotionRecognizer(output, detector="none")
    evaluation = evaluate(recognizer, part.select(order), split=split)
    return Adoption(folder, facts, probabilities, evaluation)


def _try_out(path: Path, model: Any, preprocessing: Preprocessing) -> F32:
    """Runs the graph on three faces of noise: (3, K)."""
    onnxruntime = import_onnxruntime()
    p = preprocessing
    faces = np.random.default_rng(0).integers(0, 256, (3, p.size, p.size, p.channels), np.uint8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        scores = np.asarray(session.run(["logits"], {"input": normalize(faces, p)})[0])
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        reason = f"does not run on 3 faces of {p.size}x{p.size} {p.color}: {first_line(error)}"
        hint = "Check --size, --color and --layout, and export it with a free batch axis."
        raise ModelError(reason, subject=path, hint=hint) from error
    if scores.ndim != 2 or len(scores) != 3 or scores.shape[1] < 2:
        raise ModelError(
            f"answers 3 faces with scores of shape {scores.shape}; (3, K) with K of 2 or more is "
            "needed: export it with a free batch axis and one score per class",
            subject=path,
        )
    if not np.isfinite(scores).all():
        raise ModelError("answers noise with scores that are not finite numbers", subject=path)
    return scores


def _gives_probabilities(path: Path, scores: F32, activation: str) -> bool:
    """Decides by the scores of noise, unless the person has said it."""
    if activation != "auto":
        return activation == "softmax"
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        return False
    if np.allclose(scores.sum(axis=1), 1.0, atol=1e-3):
        return True
    raise ConfigError(
        "gives numbers of 0..1 that do not sum to 1, perhaps sigmoids: type --activation softmax "
        "to take them as shares of one whole, or --activation logits",
        subject=path,
    )
