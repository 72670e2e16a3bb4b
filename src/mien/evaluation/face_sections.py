"""The sections of the evaluation report that show faces, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from mien.data.faces import load_faces
from mien.errors import MissingExtraError, ModelError
from mien.evaluation.comparison import compare
from mien.evaluation.sections import percent
from mien.evaluation.words import pick_faces
from mien.images import encode
from mien.reporting.html import data_uri, paragraph, section, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data import Manifest
    from mien.evaluation.report import Evaluation
    from mien.recognizer import EmotionRecognizer


def face_tiles(
    recognizer: EmotionRecognizer, part: Manifest, faces: NDArray[np.int64], captions: list[str]
) -> str:
    """Returns faces with captions (ready HTML), beside them what spoke for the model's answer."""
    from mien.explanation import explain_crops, paint_maps
    from mien.preprocess import Preprocessing

    if not len(faces):
        return paragraph("None.")
    chosen = part.select(faces)
    shown = load_faces(chosen, Preprocessing(size=96, color="rgb"))
    try:
        maps = explain_crops(recognizer, load_faces(chosen, recognizer.config.preprocessing))
    except (ModelError, MissingExtraError):
        maps = None  # a network without pooling and a linear layer has no map that comes free
    tiles = []
    for index, caption in enumerate(captions):
        pair = [shown[index]]
        if maps is not None:
            square = np.array([[0, 0, 96, 96]])
            pair.append(paint_maps(shown[index], square, maps[index : index + 1]))
        images = "".join(
            f'<img src="{data_uri(encode(x, suffix=".jpg", quality=88), "image/jpeg")}" alt="">'
            for x in pair
        )
        tiles.append(
            f'<figure><div class="pair">{images}</div><figcaption>{caption}</figcaption></figure>'
        )
    return f'<div class="faces">{"".join(tiles)}</div>'


def _caption(evaluation: Evaluation, face: int) -> str:
    labels, probs = evaluation.labels, evaluation.probs[face]
    true, said = int(evaluation.class_ids[face]), int(evaluation.predicted[face])
    says = f"<b>{escape(labels[said])}</b> {probs[said] * 100:.0f} %"
    if true == said:
        return says
    return f"{says}<br>raters: <b>{escape(labels[true])}</b> ({probs[true] * 100:.0f} %)"


def faces_section(evaluation: Evaluation, recognizer: EmotionRecognizer, part: Manifest) -> str:
    """Returns sheets of the surest mistakes, the hardest and the easiest faces."""
    mistakes = (
        "Wrong, and sure of it. Such faces are often labelled wrongly. On the right: which places "
        "spoke for the answer."
    )
    texts = {
        "mistakes": ("Surest mistakes", mistakes),
        "hardest": ("Hardest faces", "The raters' answer got the least probability (in brackets)."),
        "easiest": ("Easiest faces", "Right and surest, the classes in turn."),
    }
    parts = []
    for which, (title, text) in texts.items():
        faces = pick_faces(evaluation, which, 24 if which == "mistakes" else 16)
        captions = [_caption(evaluation, int(face)) for face in faces]
        parts.append(section(title, paragraph(text), face_tiles(recognizer, part, faces, captions)))
    return "\n".join(parts)


def comparison_section(
    first: Evaluation,
    second: Evaluation,
    recognizer: EmotionRecognizer,
    part: Manifest,
    names: tuple[str, str],
    most: int = 24,
) -> str:
    """Returns McNemar's test and the faces on which two models differ."""
    found = compare(first, second)
    rows = [
        [name, percent(m["accuracy"], m["accuracy_ci"]), f"{m['macro_f1']:.3f}",
         f"{m['balanced_accuracy']:.3f}", f"{m['ece']:.3f}", f"{m['nll']:.3f}"]
        for name, m in zip(names, (first.scores(), second.scores()), strict=True)
    ]  # fmt: skip
    header = ["model", "accuracy (95 %)", "macro-F1", "balanced", "ECE", "NLL"]
    low, high = found.difference_ci
    differ = np.flatnonzero(first.predicted != second.predicted)
    sure = np.maximum(first.probs.max(axis=1), second.probs.max(axis=1))[differ]
    faces = differ[np.argsort(-sure, kind="stable")][:most]
    captions = []
    for face in faces:
        answers = [
            f"{name}: <b>{escape(first.labels[one.predicted[face]])}</b> "
            f"{one.probs[face].max() * 100:.0f} %"
            for name, one in zip("AB", (first, second), strict=True)
        ]
        truth = escape(first.labels[first.class_ids[face]])
        captions.append("<br>".join([*answers, f"raters: <b>{truth}</b>"]))
    verdict = (
        "That is a difference beyond chance." if found.p_value < 0.05
        else "That may well be chance."
    )  # fmt: skip
    return section(
        "Two models, the same faces",
        table(header, rows),
        paragraph(
            f"A is {names[0]}, B is {names[1]}. Both are right on {found.both} faces and wrong on "
            f"{found.neither}; only A is right on {found.first_only}, only B on "
            f"{found.second_only}. B minus A: {found.difference * 100:+.2f} points (95 %: "
            f"{low * 100:+.2f} to {high * 100:+.2f}), McNemar's exact p = {found.p_value:.2g}. "
            f"{verdict}"
        ),
        section(f"Faces on which they differ ({len(differ)})",
                face_tiles(recognizer, part, faces, captions)),
    )  # fmt: skip
