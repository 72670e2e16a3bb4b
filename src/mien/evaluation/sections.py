"""The sections of the evaluation report, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mien import metrics
from mien.evaluation import plots
from mien.evaluation.words import biggest_confusions
from mien.reporting import theme as style
from mien.reporting.html import cards, diagram, paragraph, section, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from mien.evaluation.report import Evaluation
    from mien.evaluation.robustness import RobustnessRow
    from mien.evaluation.words import Raters
    from mien.reporting.theme import Theme


def percent(share: float, interval: Sequence[float] | None = None) -> str:
    """Returns a share in percent, with its interval where there is one.

    >>> percent(0.5, (0.25, 0.75))
    '50.0 % (25.0 to 75.0)'
    """
    text = f"{share * 100:.1f} %"
    return f"{text} ({interval[0] * 100:.1f} to {interval[1] * 100:.1f})" if interval else text


def between(low: float, high: float) -> str:
    """Returns an interval of shares in words.

    >>> between(0.25, 0.5)
    '95 %: 25.0 to 50.0 %'
    """
    return f"95 %: {low * 100:.1f} to {high * 100:.1f} %"


class Pictures:
    """Draws diagrams in both dresses and keeps the light ones as files to be.

    Args:
        prefix: Put before the names of the files.
    """

    def __init__(self, prefix: str = "") -> None:
        self.files: dict[str, bytes] = {}
        self._prefix = prefix

    def draw(self, name: str, title: str, plot: Callable[[Theme], Figure], note: str = "") -> str:
        """Returns a diagram's HTML."""
        light = style.to_png(plot(style.LIGHT))
        self.files[f"{self._prefix}{name}.png"] = light
        return diagram(title, light, style.to_png(plot(style.DARK)), note)


def headline(evaluation: Evaluation) -> str:
    """Returns the numbers that matter, with 95 % intervals, and all against deduplicated."""
    K = len(evaluation.labels)
    everything = evaluation.scores()
    true, predicted = evaluation.class_ids, evaluation.predicted
    f1 = metrics.bootstrap_interval(lambda t, p: metrics.macro_f1(t, p, K), true, predicted)
    balanced = metrics.bootstrap_interval(
        lambda t, p: metrics.balanced_accuracy(t, p, K), true, predicted
    )
    low, high = everything["accuracy_ci"]
    parts = [
        cards(
            [
                ("accuracy", percent(everything["accuracy"]), between(low, high)),
                ("macro-F1", f"{everything['macro_f1']:.3f}", f"95 %: {f1[0]:.3f} to {f1[1]:.3f}"),
                (
                    "balanced accuracy",
                    percent(everything["balanced_accuracy"]),
                    between(*balanced),
                ),
                ("calibration error", f"{everything['ece']:.3f}", "ECE, 15 bins; 0 is best"),
                ("cross-entropy", f"{everything['nll']:.3f}", "nats a face, against the targets"),
            ]
        )
    ]
    clean = ~evaluation.leaked
    if clean.any() and not clean.all():
        rows = [
            [
                name, str(m["n"]), percent(m["accuracy"], m["accuracy_ci"]),
                f"{m['macro_f1']:.3f}", f"{m['balanced_accuracy']:.3f}", f"{m['ece']:.3f}",
            ]
            for name, m in (
                ("all faces", everything),
                ("without copies of train faces", evaluation.scores(clean)),
            )
        ]  # fmt: skip
        header = ["faces", "n", "accuracy (95 %)", "macro-F1", "balanced", "ECE"]
        parts.append(table(header, rows))
    return "\n".join(parts)


def raters_section(raters: Raters | None) -> str:
    """Returns how the model stands beside the people who labelled the faces."""
    if raters is None:
        return ""
    rows = [
        ["one rater, drawn from the votes", percent(raters.ceiling)],
        ["the model", percent(raters.accuracy)],
    ]
    return section(
        "Beside the raters",
        table(["agrees with the majority", "expected share of faces"], rows),
        paragraph(
            f"A rater agrees with the model on {percent(raters.model)} of the faces. The model's "
            f"cross-entropy against the votes is {raters.cross_entropy:.3f} nats; no model can be "
            f"below the votes' own entropy, {raters.entropy:.3f}. All of it follows from the "
            "shares of votes that the dataset hands out: votes dropped before do not count."
        ),
    )


def classes_section(evaluation: Evaluation, pictures: Pictures) -> str:
    """Returns confusions in words and pictures, scores by class, ROC and PR curves."""
    counts = metrics.confusion_matrix(
        evaluation.class_ids, evaluation.predicted, len(evaluation.labels)
    )
    found = biggest_confusions(counts, evaluation.labels)
    words = "".join(f"<li>{escape(str(pair))}</li>" for pair in found)
    said = f"<ul>{words}</ul>" if words else paragraph("No face is taken for another class.")
    draw = pictures.draw
    return section(
        "Classes and confusions",
        '<div class="grid">',
        draw(
            "confusion", "Confusion, percent of the true class",
            lambda theme: plots.plot_confusion(evaluation, theme, normalised=True),
        ),
        draw(
            "confusion-counts", "Confusion, faces",
            lambda theme: plots.plot_confusion(evaluation, theme, normalised=False),
        ),
        draw(
            "classes", "Precision, recall and F1 by class",
            lambda theme: plots.plot_classes(evaluation, theme),
            "In brackets: faces of the class. Thin lines: 95 % interval of the recall.",
        ),
        f'<section class="panel"><h3>The biggest confusions</h3>{said}</section>',
        draw(
            "roc", "ROC, each class against the rest",
            lambda theme: plots.plot_roc(evaluation, theme), "Numbers: area under the curve.",
        ),
        draw(
            "precision-recall", "Precision and recall, each class against the rest",
            lambda theme: plots.plot_precision_recall(evaluation, theme),
            "Numbers: average precision.",
        ),
        "</div>",
    )  # fmt: skip


def calibration_section(evaluation: Evaluation, pictures: Pictures) -> str:
    """Returns the reliability diagram and the histogram of confidence."""
    return section(
        "Can its probabilities be trusted?",
        '<div class="grid">',
        pictures.draw(
            "reliability", "Reliability",
            lambda theme: plots.plot_reliability(evaluation, theme),
            "Dots on the dashed line: of the faces it is 70 % sure of, it gets 70 % right. Lines: "
            "95 % intervals.",
        ),
        pictures.draw(
            "confidence", "How sure it is", lambda theme: plots.plot_confidence(evaluation, theme)
        ),
        "</div>",
    )  # fmt: skip


def robustness_section(rows: Sequence[RobustnessRow], pictures: Pictures) -> str:
    """Returns corruption curves and the table of framing errors."""
    if not rows:
        return ""
    framing = [row for row in rows if not row.severity]
    cells = [
        [row.condition, percent(row.hits / row.n, metrics.wilson_interval(row.hits, row.n))]
        for row in framing
    ]
    return section(
        "On spoiled faces",
        paragraph(
            f"The same {rows[0].n} faces, drawn once with a fixed seed, under six corruptions and "
            "under the framing errors that detectors make."
        ),
        '<div class="grid">',
        pictures.draw(
            "corruptions", "Accuracy by severity",
            lambda theme: plots.plot_corruptions(rows, theme),
        ),
        table(["framing and size", "accuracy (95 %)"], cells),
        "</div>",
    )  # fmt: skip
