"""``write_report``: one self-contained page, and the diagrams as PNG files (eval extra)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mien.atomic import replacing, write_text
from mien.errors import ConfigError, MissingExtraError
from mien.evaluation.comparison import compare
from mien.evaluation.words import biggest_confusions, rater_agreement
from mien.metrics import confusion_matrix
from mien.reporting.html import page, paragraph

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.data import Manifest
    from mien.evaluation.groups import GroupReport
    from mien.evaluation.report import Evaluation
    from mien.evaluation.robustness import RobustnessRow
    from mien.recognizer import EmotionRecognizer

PAGE, NUMBERS = "report.html", "report.json"


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
    try:
        import matplotlib as mpl  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("--report", "eval", error.name) from error
    is_page = target.suffix.lower() in {".html", ".htm"} and not target.is_dir()
    if not is_page and target.exists() and not target.is_dir():
        raise ConfigError(f"--report {target} is a file: give a folder or a name.html.")
    path = target if is_page else target / PAGE
    if path.is_dir():
        raise ConfigError("is a folder: give --report another name", subject=path)
    if path.exists() and not overwrite:
        raise ConfigError(
            "exists already: type --overwrite, or give another --report", subject=path
        )
    return path


def numbers(
    evaluation: Evaluation,
    rows: Sequence[RobustnessRow] = (),
    other: Evaluation | None = None,
    groups: GroupReport | None = None,
) -> dict[str, Any]:
    """Returns all of a report's numbers as plain JSON types."""
    counts = confusion_matrix(evaluation.class_ids, evaluation.predicted, len(evaluation.labels))
    raters = rater_agreement(evaluation)
    return {
        **evaluation.to_dict(),
        "confusions": [
            {"true": c.true, "predicted": c.predicted, "count": c.count, "share": c.share}
            for c in biggest_confusions(counts, evaluation.labels)
        ],
        "raters": raters.to_dict() if raters else None,
        "robustness": [row.to_dict() for row in rows],
        "groups": groups.to_dict() if groups else None,
        "comparison": None
        if other is None
        else {**compare(evaluation, other).to_dict(), "with": other.to_dict()},
    }


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
        rows: Accuracies on spoiled faces, see ``robustness``.
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
    from mien.evaluation import face_sections, sections
    from mien.evaluation.group_section import groups_section

    part = manifest.split(evaluation.split).with_labels()
    pictures = sections.Pictures()
    body = [sections.headline(evaluation)]
    if other is not None:
        pair = names or (evaluation.model, other.model)
        body.append(face_sections.comparison_section(evaluation, other, recognizer, part, pair))
    body += [
        sections.raters_section(rater_agreement(evaluation)),
        sections.classes_section(evaluation, pictures),
        groups_section(groups),
        sections.calibration_section(evaluation, pictures),
        sections.robustness_section(rows, pictures),
        face_sections.faces_section(evaluation, recognizer, part),
        paragraph(
            "The labels are what raters saw in a picture, not what a person felt. Intervals are "
            "95 %: Wilson's for shares, bootstrapped (1,000 draws) for macro-F1 and balanced "
            "accuracy.",
            note=True,
        ),
    ]
    about = f"{evaluation.data}, split {evaluation.split}, {len(evaluation.keys)} faces"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path != target:
        for name, data in pictures.files.items():
            with replacing(path.parent / name) as temporary:
                temporary.write_bytes(data)
        report = numbers(evaluation, rows, other, groups)
        write_text(path.parent / NUMBERS, json.dumps(report, indent=2) + "\n")
    write_text(path, page(f"How well {evaluation.model} reads faces", about, "\n".join(body)))
    return path
