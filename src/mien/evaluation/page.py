"""``write_report``: an evaluation as one page, and its diagrams as PNG files (extra ``eval``)."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.atomic import replacing, write_text
from mien.data.faces import load_faces
from mien.errors import ConfigError, MissingExtraError, ModelError
from mien.evaluation import plots
from mien.evaluation.findings import biggest_confusions, compare, pick_faces, rater_agreement
from mien.reporting.pages import check_output, draw, render
from mien.reporting.text import SOURCE_COLUMNS, percent, source_rows
from mien.results.wording import percent as words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.arrays import I64
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
    endings = (".html", ".htm")
    is_page = target.suffix.lower() in endings and not target.is_dir()
    if target.is_file() and not is_page:
        raise ConfigError(
            "is a file", subject=f"--report {target}", hint="Give a folder or NAME.html."
        )
    path = target if is_page else target / PAGE
    if path.is_dir():
        raise ConfigError("is a folder", subject=path, hint="Give --report another name.")
    check_output(path, endings, overwrite=overwrite, option="--report")
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
    diagrams = {name: draw(partial(plot, evaluation)) for name, plot in plots.PLOTS.items()}
    if rows:
        diagrams["corruptions"] = draw(partial(plots.plot_corruptions, rows))
    scores, clean = evaluation.scores(), ~evaluation.leaked
    leak_rows = []
    if clean.any() and not clean.all():
        parts = {"all faces": scores, "without copies of train faces": evaluation.scores(clean)}
        leak_rows = [[name, *_cells(m)] for name, m in parts.items()]
    tiles = partial(_tiles, recognizer, manifest.split(evaluation.split).with_labels(), evaluation)
    picked = {which: pick_faces(evaluation, which, limit) for which, limit in _SHEETS.items()}
    text = render(
        "evaluation.html",
        title=f"How well {evaluation.model} reads faces",
        subtitle=f"{evaluation.data}, split {evaluation.split}, {len(evaluation.keys)} faces",
        scores=scores,
        f1_ci=evaluation.interval(metrics.macro_f1),
        balanced_ci=evaluation.interval(metrics.balanced_accuracy),
        leak_rows=leak_rows,
        source_columns=SOURCE_COLUMNS,
        source_rows=source_rows(evaluation.by_source()),
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
        sheets={
            which: tiles(faces, [_caption(evaluation, face) for face in faces.tolist()])
            for which, faces in picked.items()
        },
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


def _cells(scores: dict[str, Any], *more: str) -> list[str]:
    cells = [str(scores["n"]), percent(scores["accuracy"], scores["accuracy_ci"])]
    return cells + [f"{scores[key]:.3f}" for key in ("macro_f1", "balanced_accuracy", "ece", *more)]


def _group_rows(report: GroupReport | None) -> list[list[str]]:
    rows = []
    for group in report.groups if report else ():
        gap, low, high = (f"{100 * value:+.1f}" for value in (group.gap, *group.gap_ci))
        gaps = [f"{gap} ({low} to {high})", f"{group.p_holm:.3f}"]
        rows.append([group.name, *_cells(group.scores), percent(group.expected), *gaps])
    return rows


_Line = tuple[str, str, str]  # text, label, text


def _tiles(
    recognizer: EmotionRecognizer,
    part: Manifest,
    evaluation: Evaluation,
    faces: I64,
    captions: list[list[_Line]],
) -> list[dict[str, Any]]:
    """Returns faces with captions, each with the map of what spoke for the model's answer."""
    from mien.explanation import explain_crops, paint_maps
    from mien.preprocess import Preprocessing

    if not len(faces):
        return []
    chosen = part.select(faces)
    pictures = [[face] for face in load_faces(chosen, Preprocessing(size=96, color="rgb"))]
    # A network without pooling and a linear layer has no map that comes free.
    with suppress(ModelError, MissingExtraError):
        maps = explain_crops(recognizer, load_faces(chosen, recognizer.config.preprocessing))
        shares = evaluation.probs[faces].max(axis=1, keepdims=True)
        for pair, heat, share in zip(pictures, maps, shares, strict=True):
            pair.append(paint_maps(pair[0], np.array([[0, 0, 96, 96]]), heat[None], share))
    return [{"pictures": p, "lines": lines} for p, lines in zip(pictures, captions, strict=True)]


def _caption(evaluation: Evaluation, face: int) -> list[_Line]:
    labels, probs = evaluation.labels, evaluation.probs[face]
    true, predicted = int(evaluation.class_ids[face]), int(evaluation.predicted[face])
    lines = [("", labels[predicted], f" {words(probs[predicted])}")]
    return lines + [("raters: ", labels[true], f" ({words(probs[true])})")] * (true != predicted)


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
    both, labels = (first, second), first.labels
    captions: list[list[_Line]] = []
    for face in faces.tolist():
        said = [(labels[one.predicted[face]], f" {words(one.probs[face].max())}") for one in both]
        rated = ("raters: ", labels[first.class_ids[face]], "")
        captions.append([("A: ", *said[0]), ("B: ", *said[1]), rated])
    named = zip(names, both, strict=True)
    return {
        "rows": [[name, *_cells(one.scores(), "nll")] for name, one in named],
        "sentence": compare(first, second).sentence(*names),
        "differ": len(differ),
        "tiles": tiles(faces, captions),
    }
