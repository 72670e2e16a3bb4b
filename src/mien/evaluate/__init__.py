"""Evaluation: a model and labelled faces go in, numbers with intervals come out."""

from mien.evaluate.comparison import Comparison, compare
from mien.evaluate.report import Evaluation, evaluate, evaluate_logits, record_evaluation
from mien.evaluate.words import biggest_confusions, pick_faces, rater_agreement

__all__ = [
    "Comparison",
    "Evaluation",
    "biggest_confusions",
    "compare",
    "evaluate",
    "evaluate_logits",
    "pick_faces",
    "rater_agreement",
    "record_evaluation",
]
