"""``write_report``: an evaluation as one page, and its diagrams as PNG files (extra ``eval``)."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.atomic import replacing, write_text
from mien.data.faces import load_faces
from mien.errors import ConfigError, MissingExtraError, ModelError
from mien.evaluation import plots
from mien.evaluation.comparison import compare
from mien.evaluation.findings import biggest_confusions, pick_faces, rater_agreement
from mien.reporting import Diagram, check_reporting, draw, percent, render

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data import Manifest
    from mien.evaluation.groups import GroupReport
    from mien.evaluation.robustness import RobustnessRow
    from mien.evaluation.scores import Evaluation
    from mien.recognizer import EmotionRecognizer

__all__ = ["check_target", "numbers", "write_report"]

PAGE, NUMBERS = "report.html", "report.json"
#: Choice of :func:`pick_faces` -> how many the page shows.
_SHEETS = {"mistakes": 24, "hardest": 16, "easiest": 16}


def check_target(target: Path, *, overwrite: bool) -> Path:
    """Returns the page that a report will be, before anything is computed.

    Args:
        target: A file that ends in ``.html``, or a folder.
        overwrite: Whether files there may be replaced.

    Raises:
        ConfigError: If something is there already, or the target is another file.
        MissingExtraError: If the ``eval`` extra is not installed.

    >>> from pathlib import Path
    >>> check_target(Path("no/such/folder"), overwrite=False).name
    'report.html'
    """
    check_reporting("--report")
    is_page = target.suffix.lower() in {".html", ".htm"} and not target.is_dir()
    if not is_page and target.exists() and not target.is_dir():
        raise ConfigError(
            "is a file", subject=f"--report {target}", hint="Give a folder or NAME.html."
        )
    path = target if is_page else target / PAGE
    if path.is_dir():
        raise ConfigError("is a folder", subject=path, hint="Give --report another name.")
    if path.exists() and not overwrite:
        raise ConfigError(
            "exists already", subject=path, hint="Add --overwrite, or give another --report."
        )
    return path


def numbers(
    evaluation: Evaluation,
    rows: Sequence[RobustnessRow] = (),
    other: Evaluation | None = None,
    groups: GroupReport | None = None,
) -> dict[str, Any]:
    """Returns all of a report's numbers as plain JSON types."""
    raters = rater_agreement(evaluation)
    confusions = biggest_confusions(evaluation.confusion, evaluation.labels)
    return {
        **evaluation.to_dict(),
        "confusions": [vars(pair) for pair in confusions],
        "raters": raters and vars(raters),
        "robustness": [row.to_dict() for row in rows],
        "groups": groups and groups.to_dict(),
        "comparison": other
        and {**compare(evaluation, other).to_dict(), "with": other.to_dict()},
    }  # fmt: skip


def write_report(
    target: Path,
    evaluation: Evaluation,
    recognizer: EmotionRecognizer,
    manifest: Manifest,
    *,
    rows: Sequence[RobustnessRow] = (),
    other: Evaluation | None = None,
    groups: GroupReport | None = None,
    names: tuple[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the report of an evaluation.

    Args:
        target: A file that ends in ``.html``: the page alone. Else a folder: ``report.html``,
            ``report.json`` and a PNG of each diagram.
        evaluation: What to report.
        recognizer: The model that was evaluated.
        manifest: The dataset that it was evaluated on.
        rows: Accuracies on corrupted faces, see ``robustness``.
        other: A second model's evaluation on the same faces.
        groups: Scores by group, see ``by_group``.
        names: What to call the two models where their names are the same.
        overwrite: Replace files that exist.

    Returns:
        The page.

    Raises:
        ConfigError: If files exist, or the two evaluations are not of the same faces.
        DataError: If a picture cannot be read any more.
        MissingExtraError: If the ``eval`` extra is not installed.
    """
    path = check_target(target, overwrite=overwrite)
    diagrams = _diagrams(evaluation, rows)
    tiles = partial(_tiles, recognizer, manifest.split(evaluation.split).with_labels())
    text = render(
        "evaluation.html",
        title=f"How well {evaluation.model} reads faces",
        subtitle=f"{evaluation.data}, split {evaluation.split}, {len(evaluation.keys)} faces",
        **_scores(evaluation),
        diagrams=diagrams,
        raters=rater_agreement(evaluation),
        confusions=biggest_confusions(evaluation.confusion, evaluation.labels),
        groups=groups,
        group_rows=_group_rows(groups),
        robustness=rows,
        framing_rows=[
            [row.condition, percent(row.hits / row.n, metrics.wilson_interval(row.hits, row.n))]
            for row in rows
            if not row.severity
        ],
        comparison=other
        and _comparison(evaluation, other, names or (evaluation.model, other.model), tiles),
        sheets=_sheets(evaluation, tiles),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path != target:
        for name, diagram in diagrams.items():
            with replacing(path.parent / f"{name}.png") as temporary:
                temporary.write_bytes(diagram.light)
        report = numbers(evaluation, rows, other, groups)
        write_text(path.parent / NUMBERS, json.dumps(report, indent=2) + "\n")
    write_text(path, text)
    return path


def _diagrams(evaluation: Evaluation, rows: Sequence[RobustnessRow]) -> dict[str, Diagram]:
    diagrams = {name: draw(partial(plot, evaluation)) for name, plot in plots.PLOTS.items()}
    if rows:
        diagrams["corruptions"] = draw(partial(plots.plot_corruptions, rows))
    return diagrams


def _cells(scores: dict[str, Any], *more: str) -> list[str]:
    cells = [str(scores["n"]), percent(scores["accuracy"], scores["accuracy_ci"])]
    return cells + [f"{scores[key]:.3f}" for key in ("macro_f1", "balanced_accuracy", "ece", *more)]


def _scores(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the headline: scores, intervals, and rows of all faces and of those not leaked."""
    K, scores, clean = len(evaluation.labels), evaluation.scores(), ~evaluation.leaked
    true, predicted = evaluation.class_ids, evaluation.predicted
    leaks = clean.any() and not clean.all()
    return {
        "scores": scores,
        "f1_ci": metrics.bootstrap_interval(
            lambda t, p: metrics.macro_f1(t, p, K), true, predicted
        ),
        "balanced_ci": metrics.bootstrap_interval(
            lambda t, p: metrics.balanced_accuracy(t, p, K), true, predicted
        ),
        "leak_rows": [
            ["all faces", *_cells(scores)],
            ["without copies of train faces", *_cells(evaluation.scores(clean))],
        ]
        if leaks
        else [],
    }


def _group_rows(report: GroupReport | None) -> list[list[str]]:
    rows = []
    for group in report.groups if report else ():
        gap, low, high = (f"{100 * value:+.1f}" for value in (group.gap, *group.gap_ci))
        rows.append(
            [group.name, *_cells(group.scores), percent(group.expected), f"{gap} ({low} to {high})",
             f"{group.p_holm:.3f}"]
        )  # fmt: skip
    return rows


#: Text, label, text.
_Line = tuple[str, str, str]


def _tiles(
    recognizer: EmotionRecognizer,
    part: Manifest,
    faces: NDArray[np.int64],
    captions: list[list[_Line]],
) -> list[dict[str, Any]]:
    """Returns faces with captions, each with the map of what spoke for the model's answer."""
    from mien.explanation import explain_crops, paint_maps
    from mien.preprocess import Preprocessing

    if not len(faces):
        return []
    chosen = part.select(faces)
    shown = load_faces(chosen, Preprocessing(size=96, color="rgb"))
    pictures = [[face] for face in shown]
    try:
        maps = explain_crops(recognizer, load_faces(chosen, recognizer.config.preprocessing))
    except (ModelError, MissingExtraError):
        pass  # A network without pooling and a linear layer has no map that comes free.
    else:
        square = np.array([[0, 0, 96, 96]])
        for index, pair in enumerate(pictures):
            pair.append(paint_maps(shown[index], square, maps[index : index + 1]))
    return [
        {"pictures": pair, "lines": lines} for pair, lines in zip(pictures, captions, strict=True)
    ]


def _sheets(
    evaluation: Evaluation, tiles: Callable[..., list[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    sheets = {}
    for which, limit in _SHEETS.items():
        faces = pick_faces(evaluation, which, limit)
        sheets[which] = tiles(faces, [_caption(evaluation, face) for face in faces.tolist()])
    return sheets


def _caption(evaluation: Evaluation, face: int) -> list[_Line]:
    labels, probs = evaluation.labels, evaluation.probs[face]
    true, predicted = int(evaluation.class_ids[face]), int(evaluation.predicted[face])
    lines = [("", labels[predicted], f" {probs[predicted]:.0%}")]
    return lines if true == predicted else [*lines, _truth(labels[true], f" ({probs[true]:.0%})")]


def _truth(label: str, after: str = "") -> _Line:
    return ("raters: ", label, after)


def _comparison(
    first: Evaluation,
    second: Evaluation,
    names: tuple[str, str],
    tiles: Callable[..., list[dict[str, Any]]],
    limit: int = 24,
) -> dict[str, Any]:
    """Returns McNemar's test and the faces on which two models differ."""
    differ = np.flatnonzero(first.predicted != second.predicted)
    confidence = np.maximum(first.probs.max(axis=1), second.probs.max(axis=1))[differ]
    faces = differ[np.argsort(-confidence, kind="stable")][:limit]
    captions = [
        [
            *(
                (f"{name}: ", one.labels[one.predicted[face]], f" {one.probs[face].max():.0%}")
                for name, one in zip("AB", (first, second), strict=True)
            ),
            _truth(first.labels[first.class_ids[face]]),
        ]
        for face in faces.tolist()
    ]
    return {
        "rows": [
            [name, *_cells(one.scores(), "nll")]
            for name, one in zip(names, (first, second), strict=True)
        ],
        "sentence": compare(first, second).sentence(*names),
        "differ": len(differ),
        "tiles": tiles(faces, captions),
    }
